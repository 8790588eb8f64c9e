"""The coarse tail: by least squares where it is a light one, then by gradient, the best that was measured kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mga_wrap.fitting.least_squares import PIXELS, Equations
from mga_wrap.fitting.samples import Sample, light_tail, luma
from mga_wrap.nets.light import LightTail
from mga_wrap.nets.mga import MGANet

RATE = 3e-3
"""Of a light tail, by Muon: Adam takes several times as many steps to the same place."""
MOMENTUM = 0.9
OWN_RATE = 3e-4
"""Of a copy of the user's tail, by Adam: it is trained already, and Muon's even steps would undo that."""
ENOUGH = 500
"""Steps below which the rate is lower: it has to be small again before the time is over."""
BATCH, SIDE = 4, 32
PIXELS_A_SECOND = 2_500
"""Of the time of a fit: so that the equations take no more than a tenth of it."""
TRIED = 3
"""Steps by which the faster of float32 and bfloat16 is found; the first of each warms up."""
BORDER = 4
"""Ring of lr pixels of a piece that is not counted: what lies around the piece is not seen."""


@torch.no_grad()
def solve(tail: LightTail, learn: Sequence[Sample], *, seed: int, seconds: float) -> None:
    """Set the tail's last convolution, which is linear, to the least squared error to the original's output.

    Args:
        tail: is changed.
        learn: crops to learn from.
        seed: of the draw of pixels.
        seconds: of the whole fit: a short one takes fewer pixels.
    """
    pixels = min(PIXELS, round(seconds * PIXELS_A_SECOND))
    equations = Equations(tail, crops=len(learn), seed=seed, pixels=pixels)
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
    light = light_tail(net) is not None
    for parameter in parameters:
        parameter.requires_grad_(True)
    precision = _faster(net, learn) if light else None
    draw, optimiser = np.random.default_rng(seed), _optimiser(parameters, light=light)
    peaks = [group["lr"] for group in optimiser.param_groups]
    best, kept, step, next_look = _fidelity(net, held), _copies(parameters), 0, 0.2
    while (over := going_on()) < 1:
        expected = step / over if over and light else ENOUGH
        now = min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * over)) * min(1.0, expected / ENOUGH)
        for group, peak in zip(optimiser.param_groups, peaks, strict=True):
            group["lr"] = peak * now
        loss = _loss(net, [learn[i] for i in draw.integers(len(learn), size=BATCH)], draw, precision=precision)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        if over >= next_look:
            next_look += 0.2
            if (reached := _fidelity(net, held)) > best:
                best, kept = reached, _copies(parameters)
    if _fidelity(net, held) <= best:
        with torch.no_grad():
            for parameter, value in zip(parameters, kept, strict=True):
                parameter.copy_(value)
    return step


def _optimiser(parameters: Sequence[nn.Parameter], *, light: bool) -> torch.optim.Optimizer:
    if not light:
        return torch.optim.Adam(parameters, lr=OWN_RATE)
    from timm.optim import Muon  # a second of import that only fitting needs

    return Muon(parameters, lr=RATE, momentum=MOMENTUM)


def _faster(net: MGANet, learn: Sequence[Sample]) -> torch.dtype | None:
    """What the light tail learns in: bfloat16 where this machine is faster in it, else None: its own dtype."""
    if next(net.parameters()).dtype != torch.float32:
        return None

    def seconds(precision: torch.dtype | None) -> float:
        times = []
        for _ in range(TRIED):
            start, draw = time.monotonic(), np.random.default_rng(0)
            _loss(net, [learn[i % len(learn)] for i in range(BATCH)], draw, precision=precision).backward()
            times.append(time.monotonic() - start)
        return min(times)

    return torch.bfloat16 if seconds(torch.bfloat16) < seconds(None) else None


def _copies(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


@torch.enable_grad()
def _loss(
    net: MGANet, samples: Sequence[Sample], draw: np.random.Generator, *, precision: torch.dtype | None
) -> Tensor:
    """The mean logarithm of the squared error, piece by piece: as PSNR counts. Errors are always float32."""
    device = samples[0].lr.device.type
    with torch.autocast(device, dtype=precision, enabled=precision is not None):
        pieces = [_piece(net, one, draw) for one in samples]
    ring = BORDER * net.scale
    errors = [(a.float() - b.float())[..., ring:-ring, ring:-ring] for a, b in pieces]
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
