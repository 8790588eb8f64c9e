"""gather and paste against loops over patches."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mga_wrap.nets.layouts import Crossing
from mga_wrap.nets.patches import gather, grid_size, paste, windows_of

borders = st.sampled_from(["shift", "zero"])
few = settings(max_examples=60)


def naive_gather(x: Tensor, index: Tensor, size: tuple[int, int], p: int, halo: int, border: str) -> Tensor:
    """Window by window, pixel by pixel of the feature."""
    height, width = size
    ratio, gw, n = x.shape[2] // height, math.ceil(width / p), p + 2 * halo
    windows = []
    for image, chosen in enumerate(index.tolist()):
        for patch in chosen:
            top, left = patch // gw * p - halo, patch % gw * p - halo
            tall, wide = n, n
            if border == "shift":
                tall, wide = min(n, height), min(n, width)
                top, left = max(0, min(top, height - tall)), max(0, min(left, width - wide))
            rows = []
            for row in range(top, top + tall):
                cells = []
                for col in range(left, left + wide):
                    inside = 0 <= row < height and 0 <= col < width
                    part = x[image, :, ratio * row : ratio * (row + 1), ratio * col : ratio * (col + 1)]
                    cells.append(part if inside else x.new_zeros(x.shape[1], ratio, ratio))
                rows.append(torch.cat(cells, dim=2))
            windows.append(torch.cat(rows, dim=1))
    return torch.stack(windows)


def naive_paste(
    canvas: Tensor, windows: Tensor, index: Tensor, size: tuple[int, int], p: int, halo: int, border: str
) -> Tensor:
    height, width = size
    s, gw, n, number = canvas.shape[2] // height, math.ceil(width / p), p + 2 * halo, 0
    images = list(canvas.unbind())
    for image, chosen in enumerate(index.tolist()):
        for patch in chosen:
            row, col = patch // gw * p, patch % gw * p
            top, left = row - halo, col - halo
            if border == "shift":
                top, left = (max(0, min(at, end - min(n, end))) for at, end in ((top, height), (left, width)))
            tall, wide = min(p, height - row), min(p, width - col)
            target = (slice(None), slice(s * row, s * (row + tall)), slice(s * col, s * (col + wide)))
            source = (slice(s * (row - top), s * (row - top + tall)), slice(s * (col - left), s * (col - left + wide)))
            changed = images[image].clone()
            changed[target] = windows[number][:, source[0], source[1]]
            images[image] = changed
            number += 1
    return torch.stack(images)


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, object], Tensor, Tensor]:
    height, width, p, halo = (draw(st.integers(*bounds)) for bounds in ((1, 14), (1, 14), (1, 6), (0, 4)))
    batch, channels, ratio = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    gh, gw = grid_size(height, width, p)
    k = draw(st.integers(1, gh * gw))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    index = torch.stack([torch.randperm(gh * gw, generator=generator)[:k] for _ in range(batch)])
    x = torch.rand(batch, channels, ratio * height, ratio * width, generator=generator)
    return {"size": (height, width), "p": p, "halo": halo, "border": draw(borders), "ratio": ratio}, x, index


@few
@given(case=cases())
def test_gather_is_a_loop_over_windows(case: tuple[dict, Tensor, Tensor]) -> None:
    where, x, index = case
    before = x.clone()
    assert torch.equal(gather(x, index, **where), naive_gather(x, index, *list(where.values())[:4]))
    assert torch.equal(x, before)


@few
@given(case=cases(), scale=st.integers(1, 4))
def test_paste_is_a_loop_over_windows(case: tuple[dict, Tensor, Tensor], scale: int) -> None:
    where, x, index = case
    where = {**where, "ratio": scale}
    height, width = where["size"]
    windows = gather(torch.rand(x.shape[0], 2, scale * height, scale * width), index, **where)
    canvas = torch.zeros(x.shape[0], 2, scale * height, scale * width)
    got = paste(canvas, windows, index, **where)
    assert torch.equal(got, naive_paste(canvas, windows, index, *list(where.values())[:4]))
    assert not canvas.any()


@few
@given(height=st.integers(1, 50), width=st.integers(1, 50), p=st.integers(1, 60))
def test_the_grid_covers_the_feature_and_no_more(height: int, width: int, p: int) -> None:
    assert grid_size(height, width, p) == (math.ceil(height / p), math.ceil(width / p))


@pytest.mark.parametrize("border", ["shift", "zero"])
def test_one_value_an_image_is_repeated(border: str) -> None:
    x = torch.rand(3, 5, 1, 1)
    index = torch.tensor([[0, 2], [1, 3], [3, 0]])
    got = windows_of(x, index, Crossing("weights", "image"), size=(8, 8), p=4, border=border)
    assert torch.equal(got, x[[0, 0, 1, 1, 2, 2]])
    assert windows_of(x, index, Crossing("mask", "shared"), size=(8, 8), p=4, border=border) is x


def test_a_map_that_ends_before_the_padded_feature() -> None:
    """A feature padded from 5 to 8: windows of the image repeat its last pixel there; paste leaves the padding out."""
    image, index = torch.arange(25.0).view(1, 1, 5, 5), torch.tensor([[3, 1]])
    windows = gather(image, index, size=(8, 8), p=4, halo=0)
    assert windows[0, 0].tolist() == [[24.0] * 4] * 4
    assert windows[1, 0, :, 0].tolist() == [4, 9, 14, 19]
    assert torch.equal(
        paste(torch.zeros(1, 1, 5, 5), windows, index, size=(8, 8), p=4)[0, 0, :4, 4], image[0, 0, :4, 4]
    )
    assert paste(torch.zeros(1, 1, 5, 5), windows, index, size=(8, 8), p=4).shape == (1, 1, 5, 5)


@pytest.mark.parametrize("border", ["shift", "zero"])
def test_a_feature_of_one_pixel_is_a_map_and_no_value_an_image(border: str) -> None:
    x = torch.rand(2, 5, 1, 1)
    got = gather(x, torch.zeros(2, 1, dtype=torch.long), size=(1, 1), p=3, halo=1, border=border)
    side = 1 if border == "shift" else 5
    assert got.shape == (2, 5, side, side)
    assert torch.equal(got.sum(dim=(2, 3)), x[..., 0, 0])


def test_windows_by_hand() -> None:
    """A feature of 5 x 5 holding 0..24, patches of 2, halo 1: shifted windows stay whole, zeros fill others."""
    x = torch.arange(25.0).view(1, 1, 5, 5)
    index = torch.tensor([[0, 4, 8]])  # first, middle, last of a grid of 3 x 3
    shift = gather(x, index, size=(5, 5), p=2, halo=1)[:, 0]
    assert [window[0, 0].item() for window in shift] == [0, 6, 6]
    assert [window[-1, -1].item() for window in shift] == [18, 24, 24]
    zero = gather(x, index, size=(5, 5), p=2, halo=1, border="zero")[:, 0]
    assert zero[0].tolist() == [[0, 0, 0, 0], [0, 0, 1, 2], [0, 5, 6, 7], [0, 10, 11, 12]]
    assert zero[2].tolist() == [[18, 19, 0, 0], [23, 24, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("border", ["shift", "zero"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_memory_format_does_not_matter(border: str, layout: torch.memory_format) -> None:
    x, index = torch.rand(2, 3, 7, 9).to(memory_format=layout), torch.tensor([[0, 3], [5, 1]])
    where = {"size": (7, 9), "p": 4, "halo": 1, "border": border}
    windows = gather(x, index, **where)
    assert torch.equal(windows, naive_gather(x, index, *where.values()))
    assert torch.equal(paste(x, windows, index, **where), x)


@pytest.mark.parametrize("border", ["shift", "zero"])
@pytest.mark.parametrize(("size", "p", "halo"), [((5, 4), 2, 1), ((4, 4), 2, 0), ((3, 5), 2, 2), ((1, 3), 4, 1)])
def test_gradients_are_those_of_the_loops(border: str, size: tuple[int, int], p: int, halo: int) -> None:
    where = {"size": size, "p": p, "halo": halo, "border": border}
    gh, gw = grid_size(*size, p)
    patches = gh * gw
    index = torch.stack([torch.arange(patches), torch.arange(patches).flip(0)])[:, : max(1, patches - 1)]
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 2, *size, generator=generator, dtype=torch.float64, requires_grad=True)
    canvas = torch.rand(2, 2, *size, generator=generator, dtype=torch.float64, requires_grad=True)

    def ours(x: Tensor, canvas: Tensor) -> Tensor:
        return paste(canvas, gather(x, index, **where) ** 2, index, **where)

    def naive(x: Tensor, canvas: Tensor) -> Tensor:
        windows = naive_gather(x, index, *where.values()) ** 2
        return naive_paste(canvas, windows, index, *list(where.values())[:4])

    weights = torch.rand(2, 2, *size, generator=generator, dtype=torch.float64)
    got, expected = (torch.autograd.grad((f(x, canvas) * weights).sum(), (x, canvas)) for f in (ours, naive))
    torch.testing.assert_close(got, expected)
    assert torch.autograd.gradcheck(ours, (x, canvas))
