"""Whether something else computes what a network computes."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mga_wrap.config import Amount
from mga_wrap.errors import EngineError
from mga_wrap.exporting.formats import Run
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.score import neediest, score_of
from mga_wrap.pictures.synthetic import synthetic

AGREES = 1e-4
"""What the file's image may differ by from the network's, values in 0..1."""
TIED = 1e-3
"""Scores within this share of their range of the last one chosen may be chosen in another order."""


def compare(
    net: nn.Module, run: Run, k: Amount | None, sizes: Iterable[tuple[int, int]], *, channels: int = 3
) -> tuple[float, int]:
    """(the largest difference, patches of tied scores), over images of these sizes.

    Of patches whose scores are nearly equal another program may choose others: there it may show the coarse image or
    the refined one.

    Args:
        net: lr -> sr.
        run: the same, by another program.
        k: what is baked into it.
        sizes: (height, width) of each image.
        channels: of lr.

    Raises:
        EngineError: it computes something else.
    """
    worst, tied = 0.0, 0
    for number, (height, width) in enumerate(sizes):
        lr = synthetic(height, width, channels=channels).roll(31 * number, dims=-1)
        with torch.no_grad():
            found = run(lr)
            expected = _image(net, lr, k)
            near = _tied_pixels(net, lr, k) if isinstance(net, MGANet) else None
        if found.shape != expected.shape:
            raise EngineError(f"{tuple(lr.shape)} becomes {tuple(found.shape)}, not {tuple(expected.shape)}")
        difference = (found - expected).abs()
        if near is not None and near[0]:
            tied += near[0]
            for k_there in (0, "all"):
                there = (found - _image(net, lr, k_there)).abs()
                difference = torch.where(near[1], torch.minimum(difference, there), difference)
        largest = float(difference.max())
        if not largest <= AGREES:  # nor NaN
            raise EngineError(
                f"the image of {width} x {height} differs by {largest:.1e} from the network's; expected at most "
                f"{AGREES:g}"
            )
        worst = max(worst, largest)
    return worst, tied


@torch.no_grad()
def _image(net: nn.Module, lr: Tensor, k: Amount | None) -> Tensor:
    sr: Tensor = net(lr) if k is None else net(lr, k=k)
    return sr


def _tied_pixels(net: MGANet, lr: Tensor, k: Amount | None) -> tuple[int, Tensor] | None:
    """How many patches have nearly the score of the last one chosen, and their pixels; None where none is chosen."""
    k = net.k if k is None else k
    if k in (0, "all", "dense"):
        return None
    coarse, *crossing = net.base(lr)
    score = score_of(net.mask(crossing[0], lr, coarse, p=net.p))
    chosen = score.flatten()[neediest(score, k).flatten()]
    if chosen.numel() == score.numel():  # every patch, in any order
        return None
    near = (score - chosen.min()).abs() <= TIED * (score.max() - score.min())
    near &= near.sum() > 1  # the last one itself has no rival
    side = net.p * net.geometry.zoom
    pixels = near.repeat_interleave(side, dim=1).repeat_interleave(side, dim=2)
    return int(near.sum()), pixels[:, None, : coarse.shape[-2], : coarse.shape[-1]]
