"""What a stage that teaches the score does before and after: standardise it, calibrate k="auto"."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from mga_wrap.fitting.samples import Sample, patch_errors, sample
from mga_wrap.fitting.score import by_patch, calibrate, standardise
from mga_wrap.fitting.sources import Crop, crops
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.parts import evaluating
from mga_wrap.nets.score import FLOOR, ScorePredictor
from mga_wrap.train.crops import HELD, Batch
from mga_wrap.train.data import Pair
from mga_wrap.train.losses import Outputs, known_and_wanted


@torch.no_grad()
def start_score(net: MGANet, outputs: Iterable[Outputs], samples: Sequence[Sample]) -> None:
    """Bring what the score is told, and what it says, to mean 0 and deviation 1 over some crops.

    Args:
        net: with a `ScorePredictor`, which starts from 0 again.
        outputs: of the crops.
        samples: what the original leaves of these; a score that is taught without HR says it of every patch alike.
    """
    score = net.mask
    assert isinstance(score, ScorePredictor)
    with evaluating(net):
        pairs = [known_and_wanted(out) for out in outputs]
        x, y = (torch.cat([by_patch(pair[i]) for pair in pairs], dim=1) for i in range(2))
        standardise(score, x, y)  # without HR the second level is the first for now
        if len(y) == 1 and samples:
            left = torch.cat([_left(net, one).flatten() for one in samples]).add(FLOOR).log()
            score.level[:, 1] = torch.stack([left.mean(), left.std() + 1e-3])
    score.fitted.fill_(True)


def calibrate_score(net: MGANet, samples: Sequence[Sample]) -> bool:
    """Let k="auto" know what a loss in dB takes; False: there is nothing to tell it by, and it stays as it is."""
    if not samples or not (isinstance(net.mask, ScorePredictor) and net.mask.fitted):
        return False
    with evaluating(net):
        calibrate(net, samples)
    return True


def samples_of(net: MGANet, held: Batch, pairs: Sequence[Pair], *, side: int, seed: int) -> list[Sample]:
    """What k="auto" is calibrated on: pairs of an image as it really is and its reduction.

    Args:
        net: any.
        held: crops that are held out; they do where they have HR.
        pairs: images; without HR their lr takes its place, and is reduced. Of small ones nothing is left.
        side: of a crop, in lr pixels.
        seed: of the draw.
    """
    if held.hr is not None:
        found = [Crop(*one) for one in zip(held.lr.split(1), held.hr.split(1), strict=True)]
    else:
        least = (net.p + 2 * net.halo) * net.geometry.zoom
        pictures = [pair.lr for pair in pairs if min(pair.lr.shape[:2]) >= least]
        found = list(itertools.islice(crops(pictures, scale=net.scale, side=side, seed=seed), HELD)) if pictures else []
    with evaluating(net):
        return [sample(net, one) for one in found]


def _left(net: MGANet, one: Sample) -> Tensor:
    side = net.p * net.geometry.zoom
    grid = tuple(-(-length // side) for length in one.original.shape[-2:])
    return patch_errors(net, one.original, one.hr, grid=(grid[0], grid[1]))
