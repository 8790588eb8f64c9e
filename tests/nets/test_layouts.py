"""Every layout as a map, without a copy, and back."""

from __future__ import annotations

import pytest
import torch

from mga_wrap.nets.layouts import Crossing, from_map, to_map


@pytest.mark.parametrize(
    ("layout", "shape"), [("map", (2, 5, 3, 4)), ("last", (2, 3, 4, 5)), ("tokens", (2, 12, 5)), ("rows", (2, 5, 12))]
)
def test_there_and_back(layout: str, shape: tuple[int, ...]) -> None:
    x = torch.arange(120.0).view(shape)
    there = to_map(x, layout, 3, 4)
    assert there.shape == (2, 5, 3, 4)
    assert there.data_ptr() == x.data_ptr()
    assert torch.equal(from_map(there, layout), x)


def test_a_pixel_stays_where_it_is() -> None:
    maps = torch.arange(120.0).view(2, 5, 3, 4)
    for layout in ("last", "tokens", "rows"):
        assert torch.equal(to_map(from_map(maps, layout), layout, 3, 4), maps)


@pytest.mark.parametrize("layout", ["image", "shared"])
def test_what_is_no_map_stays(layout: str) -> None:
    x = torch.rand(2, 7)
    assert to_map(x, layout, 3, 4) is x
    assert from_map(x, layout) is x
    assert not Crossing("x", layout).is_map
    assert not Crossing("x", layout).is_reshaped


def test_which_are_made_maps() -> None:
    assert [Crossing("x", layout).is_reshaped for layout in ("map", "last", "tokens", "rows")] == [
        False,
        True,
        True,
        True,
    ]
    assert all(Crossing("x", layout).is_map for layout in ("map", "last", "tokens", "rows"))
