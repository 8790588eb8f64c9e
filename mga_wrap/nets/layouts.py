"""What crosses a cut: how each tensor lies in memory, and the same as a map (B, C, H, W), which can be gathered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Layout = Literal["map", "last", "tokens", "rows", "image", "shared"]
"""(B, C, H, W); (B, H, W, C); (B, H*W, C); (B, C, H*W); (B, ...), one value an image; anything of one size for all."""


@dataclass(frozen=True)
class Crossing:
    """One tensor that crosses the cut, on its way from the Base-Net to the Refine-Net."""

    name: str
    """Of its node in the network's graph."""
    layout: Layout = "map"
    """How the network has it. The Base-Net hands on maps (B, C, H, W) for all but "image", one value an image, which
    goes along with each of its windows, and "shared", which goes as it is."""
    ratio: int = 1
    """Of a map: its pixels a side for one of the feature."""
    halo: int = 0
    """Of a map: the ring of feature pixels with which a patch of it is gathered."""
    for_score: bool = False
    """The score alone reads it: nothing of it is gathered, and the Refine-Net needs none of it."""

    @property
    def is_map(self) -> bool:
        """It is gathered in windows."""
        return self.layout not in ("image", "shared")

    @property
    def is_reshaped(self) -> bool:
        """It is a map only after `to_map`."""
        return self.layout in ("last", "tokens", "rows")


def to_map(x: Tensor, layout: Layout, height: int, width: int) -> Tensor:
    """The tensor as (B, C, H, W), without a copy; what is no map stays as it is."""
    if layout == "last":
        return x.permute(0, 3, 1, 2)
    if layout == "tokens":
        return x.transpose(1, 2).unflatten(2, (height, width))
    if layout == "rows":
        return x.unflatten(2, (height, width))
    return x


def from_map(x: Tensor, layout: Layout) -> Tensor:
    """The inverse of `to_map`."""
    if layout == "last":
        return x.permute(0, 2, 3, 1)
    if layout == "tokens":
        return x.flatten(2).transpose(1, 2)
    if layout == "rows":
        return x.flatten(2)
    return x
