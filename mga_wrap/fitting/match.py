"""A pair's colours: what brings the small network's image nearest to the original's, linearly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from mga_wrap.fitting.samples import Sample
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.pair import PairBase

HELPS = 0.05
"""dB over all channels that a match has to bring on crops held out, to be worth that k=0 is no longer the small
network bit for bit."""


@torch.no_grad()
def match_colours(net: MGANet, learn: Sequence[Sample], held: Sequence[Sample]) -> bool:
    """Solve for a matrix and an offset by least squares, and keep them where they help.

    A small network that is brighter or greener than the large one would make every refined patch visible.

    Args:
        net: a pair; its Base-Net's match is set anew.
        learn: crops to solve by.
        held: crops to choose by.

    Returns:
        Whether colours are matched now.
    """
    base, like = net.base, next(net.parameters())
    assert isinstance(base, PairBase)
    if base.is_matched:
        base.set_match(like=like)
        for one in (*learn, *held):
            one.refresh(net)
    channels = net.geometry.channels
    gram = torch.zeros(channels + 1, channels + 1, dtype=torch.float64)
    right = torch.zeros(channels + 1, channels, dtype=torch.float64)
    for one in learn:
        coarse, original = (x.clamp(0, 1).flatten(2)[0].double().cpu() for x in (one.coarse, one.original))
        known = torch.cat([coarse, torch.ones_like(coarse[:1])])
        gram += known @ known.T / known.shape[1]
        right += known @ original.T / known.shape[1]
    gram.diagonal().add_(1e-9)  # a picture of one colour
    solved = torch.linalg.solve(gram, right)
    base.set_match(solved[:channels].T.to(like), solved[channels].to(like), like=like)
    if _distance(held, nn.Identity()) - _distance(held, base.match) < HELPS:
        base.set_match(like=like)
        return False
    for one in (*learn, *held):
        one.coarse = base.match(one.coarse)
    return True


def _distance(held: Sequence[Sample], match: nn.Module) -> float:
    """How far the coarse images, matched, are from the original's, dB over all channels; less is nearer."""
    errors = [(match(one.coarse).clamp(0, 1) - one.original.clamp(0, 1)).square().mean() for one in held]
    return float(10 * torch.stack(errors).clamp(min=1e-10).log10().mean())
