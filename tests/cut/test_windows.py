"""Halos: given, by default, exact; and what the network's windows make of them."""

from __future__ import annotations

from typing import Any

import pytest

from mga_wrap.config import CutConfig
from mga_wrap.cut.crossing import Interface
from mga_wrap.cut.windows import halo_of, spare_of, usual_halo
from mga_wrap.errors import CutError


def crosses(multiple: int = 1, *, spare: int = 0, stride: int = 1) -> Interface:
    return Interface((), stride=stride, zoom=2, multiple=multiple, spare=spare)


@pytest.mark.parametrize(
    ("p", "multiple", "spare", "halo"),
    [
        (16, 1, 0, 2),
        (16, 4, 0, 2),  # 20
        (16, 8, 0, 4),  # 24
        (16, 16, 0, 8),  # 32
        (12, 8, 0, 2),  # 16
        (16, 5, 0, 2),  # 20
        (16, 7, 0, 6),  # 28: an odd multiple fits some halo whatever p is
        (16, 1, 3, 3),
        (16, 8, 5, 8),
    ],
)
def test_the_usual_halo_is_the_next_that_fits(p: int, multiple: int, spare: int, halo: int) -> None:
    assert usual_halo(p=p, multiple=multiple, spare=spare) == halo
    assert (p + 2 * halo) % multiple == 0
    assert halo_of(CutConfig(p=p), crosses(multiple, spare=spare)) == halo


def test_the_papers_halo() -> None:
    assert usual_halo(p=4, multiple=1, spare=0, style="paper") == 1
    assert halo_of(CutConfig(style="paper"), crosses()) == 1


@pytest.mark.parametrize("halo", [None, 3])
def test_a_patch_that_fits_no_halo_is_told_which_does(halo: int | None) -> None:
    with pytest.raises(CutError, match=r"got p=15; .* multiples of 8, and p \+ 2 \* halo is none .*: give p=16"):
        halo_of(CutConfig(p=15, halo=halo), crosses(8))


@pytest.mark.parametrize(
    ("halo", "multiple", "spare", "text"),
    [
        (3, 8, 0, "got p=16 and halo=3, windows of 22; .* multiples of 8: give halo=4, or leave halo out"),
        (0, 1, 2, "got p=16 and halo=0, windows of 16; .* multiples of 1, with a halo: give halo=2, or leave halo out"),
    ],
)
def test_a_halo_that_does_not_fit_is_told_the_next_one(halo: int, multiple: int, spare: int, text: str) -> None:
    with pytest.raises(CutError, match=text):
        halo_of(CutConfig(halo=halo), crosses(multiple, spare=spare))


def test_a_halo_that_fits_stays() -> None:
    assert [halo_of(CutConfig(halo=halo), crosses()) for halo in (0, 1, 7)] == [0, 1, 7]
    assert halo_of(CutConfig(halo=4), crosses(8)) == 4


@pytest.mark.parametrize(
    ("reach", "multiple", "spare", "halo"), [(7, 1, 0, 7), (7, 8, 0, 8), (9, 8, 0, 16), (1, 1, 3, 3)]
)
def test_an_exact_halo_is_the_reach_in_whole_windows(reach: int, multiple: int, spare: int, halo: int) -> None:
    assert halo_of(CutConfig(halo="exact"), crosses(multiple, spare=spare), reach=reach) == halo


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "no halo makes refined patches exact here, because the Refine-Net looks at the whole map: give a number"),
        ({"why": "body.3 has a stride"}, "because body.3 has a stride: give a number of pixels"),
        (
            {"reach": 5, "multiple": 12},
            "got p=16 with halo='exact'; the network works in windows of 12 .* give p=24",
        ),
    ],
)
def test_where_no_halo_is_exact_that_is_said(given: dict[str, Any], text: str) -> None:
    multiple = given.pop("multiple", 1)
    with pytest.raises(CutError, match=text):
        halo_of(CutConfig(halo="exact"), crosses(multiple), **given)


def test_spare_pixels_of_lr_are_rounded_up_to_those_of_the_feature() -> None:
    assert [spare_of(crosses(spare=spare, stride=2)) for spare in (0, 1, 2, 3)] == [0, 1, 1, 2]
