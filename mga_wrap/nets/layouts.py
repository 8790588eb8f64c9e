"""How a tensor that crosses the cut lies in memory, and the same as a map (B, C, H, W), which can be gathered."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

Layout = Literal["map", "last", "tokens", "rows", "image", "shared"]
"""(B, C, H, W); (B, H, W, C); (B, H*W, C); (B, C, H*W); (B, ...), one value an image; anything of one size for all."""

AN_IMAGE, SHARED = 0, -1
"""In place of a resolution: one value an image goes along with each of its windows; what all share goes as it is."""


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
