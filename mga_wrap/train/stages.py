"""Stages of a training, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from mga_wrap.nets.mga import MGANet
from mga_wrap.train.losses import mask_loss, psnr_loss, restoration_loss, squared_loss

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
    """The paper's stages - Base-Net and Refine-Net, then the mask predictor - with squared errors and PSNR in between.

    Small crops give the most steps in a given time, but a layer's zero padding reaches far into them; the last part
    of the training therefore has larger ones. It also weighs both images alike: where few patches are refined, most
    of the result is the coarse image.

    Args:
        steps: of the first stage; the others are shares of it.
    """
    both = ("base", "refine")
    alike = partial(squared_loss, weight=1.0)
    return (
        Stage("restore", both, restoration_loss, steps=steps, batch=16, crop=16, lr=3e-3),
        Stage("polish", both, squared_loss, steps=max(steps * 2 // 3, 1), batch=16, crop=16, lr=2e-3),
        Stage("balance", both, alike, steps=max(steps // 4, 1), batch=4, crop=48, lr=1e-3),
        Stage("psnr", both, psnr_loss, steps=max(steps // 10, 1), batch=4, crop=48, lr=7e-4),
        Stage("mask", ("mask",), mask_loss, steps=max(steps // 20, 1), batch=8, crop=32, lr=2e-3),
    )
