"""Stages of a training, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from mga_wrap.nets.mga import MGANet
from mga_wrap.train.losses import mask_loss, restoration_loss, squared_loss

Loss = Callable[[MGANet, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Stage:
    """One stage: which parts learn, from which loss, for how many steps."""

    name: str
    parts: tuple[str, ...]
    """Names of the net's children that are trained; all others stay as they are."""
    loss: Loss
    """(net, lr, hr) -> a scalar."""
    steps: int
    batch: int
    """Crops a step."""
    crop: int
    """Side of an lr crop."""
    lr: float
    """Highest learning rate: reached after `warmup` steps, then a cosine down to 0."""
    warmup: int = 200
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.999
    """Decay of the averaged weights, which are what is kept."""


def paper_stages(steps: int) -> tuple[Stage, ...]:
    """The paper's stages - Base-Net and Refine-Net, then the mask predictor - with a last part on squared errors.

    Args:
        steps: of the first stage; the others are shares of it.
    """
    both = ("base", "refine")
    return (
        Stage("restore", both, restoration_loss, steps=steps, batch=16, crop=16, lr=3e-3),
        Stage("polish", both, squared_loss, steps=max(steps // 4, 1), batch=32, crop=16, lr=1e-3),
        Stage("mask", ("mask",), mask_loss, steps=max(steps // 12, 1), batch=8, crop=48, lr=1e-3),
    )
