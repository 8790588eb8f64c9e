"""The coarse tail: by least squares where it is a light one, then by gradient, the best that was measured kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mga_wrap.fitting.least_squares import Equations
from mga_wrap.fitting.samples import Sample, light_tail, luma
from mga_wrap.nets.light import LightTail
from mga_wrap.nets.mga import MGANet

RATE = 3e-4
BATCH, SIDE = 4, 48
BORDER = 4
"""Ring of lr pixels of a piece that is not counted: what lies around the piece is not seen."""


@torch.no_grad()
def solve(tail: LightTail, learn: Sequence[Sample], *, seed: int) -> None:
    """Set the tail's last convolution, which is linear, to the least squared error to the original's output."""
    equations = Equations(tail, crops=len(learn), seed=seed)
    for one in learn:
        equations.add(one.lr, one.feature, one.original)
    equations.solve()


def learn_by_gradient(
    net: MGANet,
    parameters: Sequence[nn.Parameter],
    learn: Sequence[Sample],
    held: Sequence[Sample],
    *,
    seed: int,
    going_on: Callable[[], float],
) -> int:
    """Go on by gradient, and keep the weights that were best on the crops held out, those at the start among them.

    Args:
        net: its coarse tail learns.
        parameters: those of the coarse tail.
        learn: crops to learn from.
        held: crops to choose by.
        seed: of the draw.
        going_on: the share of the time that is over; 1 ends it.

    Returns:
        The steps taken.
    """
    draw = np.random.default_rng(seed)
    optimiser = torch.optim.Adam(parameters, lr=RATE)
    best, kept, step, next_look = _fidelity(net, held), _copies(parameters), 0, 0.2
    for parameter in parameters:
        parameter.requires_grad_(True)
    while (over := going_on()) < 1:
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * over))
        with torch.enable_grad():
            loss = _loss(net, [learn[i] for i in draw.integers(len(learn), size=BATCH)], draw)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        if over >= next_look and (now := _fidelity(net, held)) > best:
            best, kept = now, _copies(parameters)
        next_look = next_look if over < next_look else next_look + 0.2
    if _fidelity(net, held) <= best:
        with torch.no_grad():
            for parameter, value in zip(parameters, kept, strict=True):
                parameter.copy_(value)
    return step


def _copies(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def _loss(net: MGANet, samples: Sequence[Sample], draw: np.random.Generator) -> Tensor:
    """The mean logarithm of the squared error, piece by piece: as PSNR counts."""
    coarse, original = zip(*(_piece(net, one, draw) for one in samples), strict=True)
    ring = BORDER * net.scale
    errors = [(a - b)[..., ring:-ring, ring:-ring] for a, b in zip(coarse, original, strict=True)]
    return torch.stack([e.square().mean() + luma(e).square().mean() for e in errors]).add(1e-8).log().mean()


def _piece(net: MGANet, one: Sample, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    tail = light_tail(net)
    if tail is None:  # a tail of the user's own may need more than the feature: the Base-Net runs again
        return net.base(one.lr)[0], one.original
    height, width = one.feature.shape[-2:]
    side = min(SIDE, height, width)
    top, left = int(draw.integers(height - side + 1)), int(draw.integers(width - side + 1))
    stride, zoom = tail.zoom // tail.scale, tail.zoom
    feature = one.feature[..., top : top + side, left : left + side]
    lr = one.lr[..., top * stride : (top + side) * stride, left * stride : (left + side) * stride]
    original = one.original[..., top * zoom : (top + side) * zoom, left * zoom : (left + side) * zoom]
    return tail(feature, lr), original


@torch.no_grad()
def _fidelity(net: MGANet, held: Sequence[Sample]) -> float:
    """Mean PSNR in dB on luma of the coarse image to the original's output."""
    errors = []
    for one in held:
        one.refresh(net)
        errors.append((luma(one.coarse.clamp(0, 1)) - luma(one.original.clamp(0, 1))).square().mean())
    return float(-10 * torch.stack(errors).clamp(min=1e-10).log10().mean())
