"""The score by regression, and what it means in dB."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from mga_wrap.fitting.samples import Sample, known_and_wanted, patch_errors
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.score import CALIBRATED, IMAGE_STATISTICS, ScorePredictor, allowance

RATE = 2e-3
BATCH = 32
SHARES = (0.1, 0.2, 0.3)
"""Of refined patches, at which two scores are compared."""
NOISE = 0.05
"""Of the statistics' deviation: a few hundred crops would be learned by heart."""
PENALTY = 0.1, 1e-3
"""Added to the normal equations' diagonal for the statistics of the feature, which are many, and for the images', which
are few and say most."""
LOSSES = tuple(float(loss) for loss in np.geomspace(0.01, 1.0, CALIBRATED))
"""dB for which k="auto" is calibrated."""
FACTORS = np.geomspace(0.02, 50, 161)
"""Tried for each of them."""


def regress(net: MGANet, learn: Sequence[Sample], *, seed: int, steps: int, going_on: Callable[[], float]) -> int:
    """Let the score predict the logarithms of the errors; returns the steps taken.

    Args:
        net: with a `ScorePredictor`, whose statistics are standardised anew.
        learn: crops; those of one size are learned from together.
        seed: of the draw.
        steps: at most.
        going_on: the share of the time that is over; 1 ends it.
    """
    score = net.mask
    assert isinstance(score, ScorePredictor)
    groups, *_ = _standardised(score, [known_and_wanted(net, one) for one in learn])
    return _learn(score, groups, seed=seed, steps=steps, going_on=going_on)


def regress_if_better(
    net: MGANet,
    learn: Sequence[Sample],
    held: Sequence[Sample],
    *,
    seed: int,
    steps: int,
    going_on: Callable[[], float],
) -> bool:
    """`regress` for a network whose own outputs take most of the time, so that little may be left to learn in.

    The linear part is solved for first, which takes no time. As much is kept as helps on crops held out: all, what was
    solved for, or nothing.

    Returns:
        Whether anything is.
    """
    score = net.mask
    assert isinstance(score, ScorePredictor)
    pairs = [known_and_wanted(net, one) for one in held]
    best, kept, changed = _left_over(score, pairs), copy.deepcopy(score.state_dict()), False
    groups = _solve(score, [known_and_wanted(net, one) for one in learn])
    for count in (0, steps):
        _learn(score, groups, seed=seed, steps=count, going_on=going_on)
        if (left := _left_over(score, pairs)) <= best:
            best, kept, changed = left, copy.deepcopy(score.state_dict()), True
    score.load_state_dict(kept)
    return changed


Groups = list[tuple[Tensor, Tensor]]
"""Batches of crops of one size: what the score knows of them, what it is to say."""


@torch.no_grad()
def _standardised(score: ScorePredictor, pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[Groups, Tensor, Tensor]:
    """Set the score's means and deviations; the crops in batches, and all patches, (inputs, n) and (2, n)."""
    groups = _of_one_size(pairs)
    x, y = (torch.cat([by_patch(group[i]) for group in groups], dim=1) for i in range(2))
    standardise(score, x, y)
    score.fitted.fill_(True)
    return groups, x, y


@torch.no_grad()
def _solve(score: ScorePredictor, pairs: Sequence[tuple[Tensor, Tensor]]) -> Groups:
    """Standardise, and solve for the linear part by least squares; the rest adds nothing yet."""
    groups, x, y = _standardised(score, pairs)
    known = ((x - score.mean[0, ..., 0]) / score.deviation[0, ..., 0]).double()
    wanted = ((y - score.level[0, :, None]) / score.level[1, :, None]).double()
    penalty = torch.full_like(known[:, 0], PENALTY[0])
    penalty[-IMAGE_STATISTICS:] = PENALTY[1]
    gram, right = (known @ one.T / known.shape[1] for one in (known, wanted))
    solved = torch.linalg.solve(gram + penalty.diag(), right)
    score.direct.weight.copy_(solved.T[..., None, None])
    for parameter in score.leave.parameters():
        parameter.zero_()
    return groups


def _learn(score: ScorePredictor, groups: Groups, *, seed: int, steps: int, going_on: Callable[[], float]) -> int:
    """Steps by gradient; returns how many."""
    shares = torch.tensor([float(len(x)) for x, _ in groups])
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(score.parameters(), lr=RATE, weight_decay=1e-2)
    deviation = score.level[1].view(1, 2, 1, 1)
    step, begun = 0, min(going_on(), 0.999)  # the statistics have taken their part of the time
    with torch.enable_grad():
        while (over := max(step / max(steps, 1), (going_on() - begun) / (1 - begun))) < 1 and step < steps:
            for group in optimiser.param_groups:
                group["lr"] = RATE * min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * over))
            x, y = groups[int(torch.multinomial(shares, 1, generator=generator))] if len(groups) > 1 else groups[0]
            chosen = torch.randint(len(x), (BATCH,), generator=generator)
            noise = torch.randn(chosen.shape[0], *x.shape[1:], generator=generator).to(x)
            given, wanted = x[chosen] + NOISE * score.deviation * noise, y[chosen]
            if torch.rand((), generator=generator) < 0.5:
                given, wanted = given.flip(3), wanted.flip(3)
            loss = ((score.predict(given) - wanted) / deviation).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            step += 1
    return step


@torch.no_grad()
def _left_over(score: ScorePredictor, pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    """The logarithm of the squared error to the original's output that is left, over crops and `SHARES`."""
    found = []
    for x, y in pairs:
        order = score.predict(x)[0, 0].flatten().argsort(descending=True)
        left = y[0, 0].double().exp().flatten()[order]
        for share in SHARES:
            found.append(float(left[round(share * len(left)) :].sum().clamp(min=1e-12).log()))
    return float(np.mean(found))


def _of_one_size(pairs: Sequence[tuple[Tensor, Tensor]]) -> Groups:
    """Batches of one grid of patches each: small pictures give small crops."""
    sizes: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
    for pair in pairs:
        sizes.setdefault(pair[0].shape, []).append(pair)
    return [(torch.cat([x for x, _ in group]), torch.cat([y for _, y in group])) for group in sizes.values()]


def by_patch(x: Tensor) -> Tensor:
    """(B, n, gh, gw) -> (n, B * gh * gw)."""
    return x.transpose(0, 1).flatten(1)


@torch.no_grad()
def standardise(score: ScorePredictor, x: Tensor, y: Tensor) -> None:
    """Bring what goes in and what comes out to mean 0 and deviation 1; the score starts from 0 again.

    Args:
        score: whose buffers are set.
        x: (inputs, patches).
        y: (2, patches).
    """
    score.mean.copy_(x.mean(dim=1).view_as(score.mean))
    score.deviation.copy_(x.std(dim=1).view_as(score.deviation) + 1e-3)
    score.level.copy_(torch.stack([y.mean(dim=1), y.std(dim=1) + 1e-3]))
    score.direct.weight.zero_()
    score.by_area = True


@torch.no_grad()
def calibrate(net: MGANet, samples: Sequence[Sample]) -> None:
    """Find, for each loss in dB, the factor on the score's own estimate with which the mean loss comes out."""
    score = net.mask
    assert isinstance(score, ScorePredictor)
    measured = [_errors(net, one) for one in samples]
    if not measured:
        return
    table = []
    for loss in LOSSES:
        found = [_at(measured, loss, float(factor)) for factor in FACTORS]
        losses = np.maximum.accumulate([mean for mean, _ in found])  # more allowed, more lost, up to noise
        at = min(int(np.searchsorted(losses, loss)), len(FACTORS) - 1)
        table.append((loss, float(FACTORS[at]), found[at][1]))
    score.calibration.copy_(torch.tensor(table))


def _errors(net: MGANet, one: Sample) -> tuple[np.ndarray, ...]:
    """Of each patch, as much of it as counts: predicted (taken, left); true errors of coarse and refined."""
    score = net.mask
    assert isinstance(score, ScorePredictor)
    statistics = score.statistics(one.feature, one.lr, one.coarse, p=net.p)
    predicted = score.predict(statistics)[0].double().exp().flatten(1)
    grid = (statistics.shape[-2], statistics.shape[-1])
    true = [patch_errors(net, image, one.hr, grid=grid)[0].double().flatten() for image in (one.coarse, one.original)]
    area = score.area(one.feature, p=net.p, like=statistics).flatten()
    return tuple((area * x).cpu().numpy() for x in (*predicted, *true))


def _at(measured: Sequence[tuple[np.ndarray, ...]], loss: float, factor: float) -> tuple[float, float]:
    """(mean loss in dB, mean share) where as much is refined as the score asks for."""
    losses, shares = [], []
    for taken, left, coarse, original in measured:
        order = np.argsort(-taken)
        still = np.concatenate([[taken.sum()], taken.sum() - np.cumsum(taken[order])])
        count = int((still > allowance(loss) * factor * left.sum()).sum())
        refined = order[:count]
        error = coarse.sum() - coarse[refined].sum() + original[refined].sum()
        losses.append(10 * math.log10(max(error, 1e-12) / max(original.sum(), 1e-12)))
        shares.append(count / len(taken))
    return float(np.mean(losses)), float(np.mean(shares))
