"""Two networks as Base-Net and Refine-Net: a small one for the whole image, the user's whole network for windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mga_wrap.config import CutConfig
from mga_wrap.origin import Origin

PAIR = "base"
"""What `CutConfig.split_at` says of a network that is no cut but a pair."""


class PairBase(nn.Module):
    """The small network as a Base-Net: lr -> (coarse, its feature where it shows one, lr).

    Args:
        small: lr -> coarse, or -> (coarse, feature).
        writes: it writes into its input, so it is given a copy.
    """

    def __init__(self, small: nn.Module, *, writes: bool = False) -> None:
        super().__init__()
        self.small, self.writes = small, writes
        self.match: nn.Module = nn.Identity()

    def set_match(self, weight: Tensor | None = None, bias: Tensor | None = None, *, like: Tensor) -> None:
        """Match colours from now on, or with neither argument not any more.

        Args:
            weight: (C, C), by which the coarse image's colours are multiplied.
            bias: (C,), added.
            like: for dtype and device.
        """
        self.match = nn.Identity()
        if weight is not None and bias is not None:
            match = ColourMatch(len(bias)).to(like)
            with torch.no_grad():
                match.weight.copy_(weight[..., None, None])
                match.bias.copy_(bias)  # type: ignore[union-attr]
            self.match = match.requires_grad_(False).train(self.training)

    @property
    def is_matched(self) -> bool:
        """The coarse image's colours are changed to the original's."""
        return not isinstance(self.match, nn.Identity)

    def forward(self, lr: Tensor) -> tuple[Tensor, ...]:
        """Enlarge (B, 3, H, W), and hand lr on."""
        found = self.small(lr.clone() if self.writes else lr)
        coarse, *feature = found if isinstance(found, tuple) else (found,)
        return (self.match(coarse), *feature, lr)


class PairRefine(nn.Module):
    """The user's network as a Refine-Net: windows of lr -> windows of sr.

    Args:
        model: lr -> sr.
        writes: it writes into its input, so it is given a copy.
    """

    def __init__(self, model: nn.Module, *, writes: bool = False) -> None:
        super().__init__()
        self.model, self.writes = model, writes

    def forward(self, *tensors: Tensor, dense: bool = False) -> Tensor:
        """Enlarge lr, the last of what the Base-Net returns; windows and the whole image alike."""
        lr = tensors[-1]
        sr: Tensor = self.model(lr.clone() if self.writes else lr)
        return sr


class ColourMatch(nn.Conv2d):
    """Each pixel's colours, linearly: a matrix and an offset. It starts as what changes nothing."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 1)
        assert self.bias is not None
        with torch.no_grad():
            self.weight.copy_(torch.eye(channels)[..., None, None])
            self.bias.zero_()


@dataclass(frozen=True)
class Small:
    """Where a pair's small network came from, and how to build it again if it is one of ours."""

    origin: Origin
    backbone: Mapping[str, Any] | None = None
    """The arguments of `create_backbone`."""
    cut: CutConfig | None = None
    """Of a small network that is accelerated itself; its k is the one that the pair uses."""
    example: tuple[int, ...] | None = None
    """Of a small network that is accelerated itself: shape of the image that was given for it."""

    def as_json(self, *, matched: bool) -> dict[str, Any]:
        """What config.json says of it."""
        return {
            "origin": self.origin.as_json(),
            "backbone": None if self.backbone is None else dict(self.backbone),
            "cut": None if self.cut is None else self.cut.as_json(),
            "matched": matched,
            **({} if self.example is None else {"example": list(self.example)}),
        }
