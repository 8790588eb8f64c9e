"""Which windows a network takes, what they cost, and how far it looks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from toys.plain import LongSkip, build
from toys.sized import build_sized
from toys.whole import NoWindows, build_whole

from mga_wrap.config import CutConfig
from mga_wrap.counting import count_macs
from mga_wrap.errors import CutError
from mga_wrap.pair.windows import (
    GEOMETRIES,
    PLACE,
    WHOLE,
    Sight,
    Windows,
    halo_is_exact,
    share_that_breaks_even,
    sight_of,
)

LR = torch.zeros(1, 3, 64, 48)


def windows(name: str) -> Windows:
    return Windows(build_whole(name, 2), LR)


def test_a_window_costs_what_the_network_does() -> None:
    model = build_whole("UShaped", 2)
    window = Windows(model, LR).window(16, 4)
    assert window is not None
    assert window.macs == count_macs(model, torch.zeros(1, 3, 24, 24))
    assert window.macs_per_pixel == window.macs / 256


def test_what_is_open_is_offered() -> None:
    found = windows("UShaped").offered(CutConfig())
    assert [(one.p, one.halo) for one in found] == list(GEOMETRIES)
    assert {one.p for one in windows("UShaped").offered(CutConfig(p=20))} == {20}
    assert {one.halo for one in windows("UShaped").offered(CutConfig(halo=3))} == {3}
    (one,) = windows("UShaped").offered(CutConfig(p=20, halo=6))
    assert (one.p, one.halo) == (20, 6)


def test_windows_that_are_refused_are_not_offered() -> None:
    found = windows("LargeOnly").offered(CutConfig())
    assert (16, 2) not in [(one.p, one.halo) for one in found]
    assert (24, 4) in [(one.p, one.halo) for one in found]
    with pytest.raises(CutError, match=r"NoWindows takes no windows of 24 pixels a side \(a picture of 24 x 24\)"):
        Windows(NoWindows(2), LR).offered(CutConfig(p=16, halo=4))


def test_a_halo_that_costs_nothing_is_taken() -> None:
    """A network that pads its windows to a multiple of 32 makes 4 as dear as 8."""

    class Pads(LongSkip):
        def forward(self, x: Tensor) -> Tensor:
            padded = nn.functional.pad(x, [0, (-x.shape[-1]) % 32, 0, (-x.shape[-2]) % 32])
            return super().forward(padded)[..., : 2 * x.shape[-2], : 2 * x.shape[-1]]

    assert (Windows(Pads(2), LR).usual(CutConfig(p=16))).halo == 8
    assert (Windows(LongSkip(2), LR).usual(CutConfig(p=16))).halo == 4
    assert (Windows(Pads(2), LR).usual(CutConfig(p=16, halo=4))).halo == 4


@pytest.mark.parametrize(
    ("model", "reach", "multiple"),
    [
        (build("LongSkip", 2), 10, 1),
        (build_whole("UShaped", 3), 12, 4),
        (build_whole("FilterMixer", 2), 4, 1),
    ],
)
def test_how_far_it_looks(model: nn.Module, reach: int, multiple: int) -> None:
    sight = sight_of(model, LR, scale=3 if model.__class__.__name__ == "UShaped" else 2)
    assert sight.reach is not None
    assert (abs(sight.reach - reach) <= 2, sight.multiple) == (True, multiple)
    assert sight.halo % multiple == 0
    assert sight.halo >= sight.reach
    assert halo_is_exact(sight, 8, sight.halo)
    assert not halo_is_exact(sight, 8, sight.halo - 1)


def test_what_no_halo_makes_exact() -> None:
    assert sight_of(build_whole("WholeMap", 2), LR, scale=2) == Sight(None, why=WHOLE)
    assert not halo_is_exact(Sight(None, why=PLACE), 16, 100)
    with pytest.raises(CutError, match=r"no halo makes refined patches exact here, because the model gives another"):
        Sight(None, why=PLACE).exact_halo(CutConfig())


class FixedGrid(LongSkip):
    """Adds a pattern of 64 pixels a side: no multiple that is tried makes windows exact."""

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.arange(x.shape[-2], device=x.device)[:, None] % 64
        return super().forward(x + rows / 100)


def test_a_network_that_asks_where_it_is() -> None:
    assert sight_of(FixedGrid(2).eval(), LR, scale=2).why == PLACE


def test_windows_of_attention_have_to_begin_where_the_images_do() -> None:
    sight = sight_of(build_sized("WindowAttention", 2), LR, scale=2)
    assert sight.reach is None or sight.multiple > 1


def test_the_share_that_breaks_even() -> None:
    window = windows("UShaped").window(16, 0)
    assert window is not None
    even = share_that_breaks_even(window, model_macs=1000, small_macs=400)
    assert even * window.macs_per_pixel + 400 == pytest.approx(1000)
