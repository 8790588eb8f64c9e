"""Which windows a network takes, what they cost, and how far it looks: found by running it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from mga_wrap.config import CutConfig, Halo
from mga_wrap.errors import CutError, one_line
from mga_wrap.graph.trace import unchanged
from mga_wrap.pair.meet import macs_of
from mga_wrap.pictures.synthetic import synthetic

GEOMETRIES = ((24, 4), (16, 4), (16, 8), (24, 8), (32, 8), (48, 8), (16, 2), (32, 16), (96, 16))
"""(p, halo) that are tried, what is preferred first: windows of 32 are what most networks of windows divide."""
HALOS = (4, 6, 8, 12, 16, 3, 2, 1, 0)
"""Tried where p is given."""
NO_DEARER = 1.02
"""A wider halo is taken where it costs no more: a network that pads its windows makes it free."""
SIDES = (48, 80, 112)
"""Of the images on which a NaN is let loose, each only if those before were too small."""
MULTIPLES = (1, 2, 4, 8, 16, 32)
"""Where windows may begin: tried from the first on."""
ALIKE = 5e-5
"""Results that differ by less, over their standard deviation, differ by rounding."""


@dataclass(frozen=True)
class Window:
    """Patches of side p with a halo, and what they cost."""

    p: int
    halo: int
    macs: float
    """Of one window."""

    @property
    def macs_per_pixel(self) -> float:
        """Per lr pixel of its patch."""
        return self.macs / self.p**2


@dataclass
class Windows:
    """The windows of one network, a copy in eval mode; sides that were tried are remembered."""

    model: nn.Module
    example: Tensor
    """An image that it takes, for its channels, dtype and device."""
    _macs: dict[int, int | None] = field(default_factory=dict)
    _said: str = ""

    @torch.no_grad()
    def macs(self, side: int) -> int | None:
        """Of a window of this side; None where the network does not take it."""
        if side not in self._macs:
            try:
                self._macs[side] = macs_of(self.model, self.example, side, side)
            except Exception as error:  # whatever a forward does with a size that it does not take
                self._macs[side], self._said = None, one_line(error)
        return self._macs[side]

    def window(self, p: int, halo: int) -> Window | None:
        """A window of the network, or None where it does not take it."""
        macs = self.macs(p + 2 * halo)
        return None if macs is None else Window(p, halo, float(macs))

    def offered(self, config: CutConfig) -> list[Window]:
        """The windows that a configuration leaves open, what is preferred first.

        Raises:
            CutError: the network takes none of them.
        """
        found = [one for p, halo in _asked(config) if (one := self.window(p, halo)) is not None]
        if not found:
            sides = sorted({p + 2 * halo for p, halo in _asked(config)})
            raise CutError(
                f"{type(self.model).__name__} takes no windows of {', '.join(map(str, sides))} pixels a side "
                f"({self._said}); expected one that does: give p and halo with p + 2 * halo of a side that it takes"
            )
        return found

    def usual(self, config: CutConfig) -> Window:
        """The one that is taken where nothing is measured: the widest halo that costs no more than the preferred."""
        first, *others = self.offered(config)
        if config.halo is not None:
            return first
        free = [one for one in others if one.p == first.p and one.macs <= NO_DEARER * first.macs]
        return max((first, *free), key=lambda one: one.halo)


def _asked(config: CutConfig) -> Iterator[tuple[int, int]]:
    """(p, halo) that a configuration leaves open."""
    if config.leaves_p_open and config.halo is None:
        yield from GEOMETRIES
    elif config.leaves_p_open:
        assert isinstance(config.halo, int)
        for p in dict.fromkeys(p for p, _ in GEOMETRIES):
            yield p, config.halo
    elif config.halo is None:
        for halo in HALOS:
            yield config.p, halo
    else:
        assert isinstance(config.halo, int)
        yield config.p, config.halo


@dataclass(frozen=True)
class Sight:
    """How far a network looks."""

    reach: int | None
    """Lr pixels around a pixel's own; None: no halo makes its windows exact."""
    multiple: int = 1
    """Windows have to begin at multiples of this to be exact."""
    why: str = ""

    def exact_halo(self, config: CutConfig) -> tuple[int, int]:
        """(p, halo) with which refined patches are the network's own.

        Raises:
            CutError: none is.
        """
        if self.reach is None:
            raise CutError(f"got halo='exact'; no halo makes refined patches exact here, because the model {self.why}")
        p = -(-24 // self.multiple) * self.multiple if config.leaves_p_open else config.p
        if p % self.multiple:
            raise CutError(
                f"got p={p} with halo='exact'; windows of this model have to begin at multiples of {self.multiple}: "
                f"give p={-(-p // self.multiple) * self.multiple}"
            )
        return p, self.halo

    @property
    def halo(self) -> int:
        """The narrowest that is exact."""
        assert self.reach is not None
        return -(-self.reach // self.multiple) * self.multiple


WHOLE = "looks at the whole image, or farther than could be tried"
PLACE = "gives another result where a window begins elsewhere"


@torch.no_grad()
def sight_of(model: nn.Module, example: Tensor, *, scale: int) -> Sight:
    """How far a network looks: where a NaN in its input arrives, and whether its result moves with the image."""
    reach, side = None, 0
    for side in SIDES:
        try:
            reach = _spread(model, example, side, scale)
        except Exception:  # whatever a forward does with a size that it does not take, or with a NaN
            continue
        if reach is not None:
            break
    if reach is None:
        return Sight(None, why=WHOLE)
    for multiple in MULTIPLES:
        if _moves_with(model, example, side, scale, reach, multiple):
            return Sight(reach, multiple)
    return Sight(None, why=PLACE)


def _image(example: Tensor, height: int, width: int) -> Tensor:
    return synthetic(height, width, channels=example.shape[1]).to(example)


def _run(model: nn.Module, lr: Tensor) -> Tensor:
    with unchanged(model):
        sr: Tensor = model(lr)
    return sr


def _spread(model: nn.Module, example: Tensor, side: int, scale: int) -> int | None:
    """How far the farthest of some NaNs gets; None if that might be farther than the image shows."""
    reach = 0
    for at in (side // 2, side // 4 + 1, 3 * side // 4 + 2):
        lr = _image(example, side, side)
        lr[..., at, at] = torch.nan
        hit = _run(model, lr).isnan().flatten(0, 1).any(dim=0)
        for dim in (1, 0):
            lines = hit.any(dim=dim).nonzero().flatten() // scale
            if len(lines):
                reach = max(reach, int(at - lines[0]), int(lines[-1] - at))
        if reach >= (side - 1) // 2:
            return None
    return reach


def _moves_with(model: nn.Module, example: Tensor, side: int, scale: int, reach: int, by: int) -> bool:
    """Whether an image that begins `by` pixels further on gives the same, where its borders are not seen."""
    side += 2 * max(MULTIPLES)
    lr = _image(example, side + by, side + by)
    try:
        one, two = _run(model, lr[..., :side, :side].clone()), _run(model, lr[..., by:, by:].clone())
    except Exception:  # whatever a forward does with a size that it does not take
        return False
    ring = (reach + by) * scale
    inside = slice(ring, side * scale - ring)
    moved = slice(ring - by * scale, (side - by) * scale - ring)
    first, second = one[..., inside, inside], two[..., moved, moved]
    return first.numel() > 0 and bool((first - second).abs().max() <= ALIKE * first.std())


def halo_is_exact(sight: Sight, p: int, halo: Halo) -> bool:
    """Whether refined patches are the network's own."""
    return (
        sight.reach is not None
        and isinstance(halo, int)
        and halo >= sight.reach
        and not (p % sight.multiple or halo % sight.multiple)
    )


def share_that_breaks_even(window: Window, *, model_macs: float, small_macs: float) -> float:
    """The share of refined patches at which a pair takes as many MACs as the model; below 0 where it never saves."""
    return (model_macs - small_macs) / window.macs_per_pixel
