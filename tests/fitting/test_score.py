"""The score by regression: it tells hard patches from easy ones, from crops of any sizes."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from toys.plain import build

import mga_wrap as mga
from mga_wrap.fitting import score as score_fit
from mga_wrap.fitting.samples import Sample, known_and_wanted, sample
from mga_wrap.fitting.sources import crops
from mga_wrap.nets.score import ScorePredictor
from mga_wrap.pictures.synthetic import synthetic


def by_steps(count: int) -> Callable[[], float]:
    """A clock that is over after so many looks."""
    looks = itertools.count()
    return lambda: next(looks) / count


@pytest.fixture
def net() -> mga.MGANet:
    return mga.accelerate(build("LongSkip", 2), coarse_tail="light", p=4).requires_grad_(False)


def samples(net: mga.MGANet, *, sides: tuple[int, ...], count: int) -> list[Sample]:
    picture = (synthetic(256, 256)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    found = []
    for side in sides:
        found += [sample(net, one) for one in itertools.islice(crops([picture], scale=2, side=side, seed=side), count)]
    return found


@pytest.mark.parametrize("sides", [(24,), (24, 18)])
def test_it_ranks_crops_that_it_has_not_seen(net: mga.MGANet, sides: tuple[int, ...]) -> None:
    net.mask.requires_grad_(True)
    score = net.mask
    assert isinstance(score, ScorePredictor)
    found = samples(net, sides=sides, count=24)
    learn, held = found[4:], found[:4]
    steps = score_fit.regress(net, learn, seed=0, steps=150, going_on=by_steps(1000))
    assert steps == 150
    assert bool(score.fitted)
    assert correlation(net, held) > 0.6


def correlation(net: mga.MGANet, held: list[Sample]) -> float:
    """Of what the score says of patches with what is true of them."""
    score = net.mask
    assert isinstance(score, ScorePredictor)
    said, true = [], []
    for one in held:
        x, y = known_and_wanted(net, one)
        with torch.no_grad():
            said.append(score.predict(x)[:, 0].flatten())
        true.append(y[:, 0].flatten())
    return float(torch.corrcoef(torch.stack([torch.cat(said), torch.cat(true)]))[0, 1])


def test_without_time_it_is_solved_for_and_kept_only_where_it_helps(net: mga.MGANet) -> None:
    net.mask.requires_grad_(True)
    found = samples(net, sides=(24, 18), count=16)
    learn, held = found[4:], found[:4]
    before = copy.deepcopy(net.mask.state_dict())
    assert score_fit.regress_if_better(net, learn, held, seed=0, steps=600, going_on=lambda: 1.0)
    assert correlation(net, held) > 0.6
    assert not net.mask.leave.weight.any(), "no step was taken"
    net.mask.load_state_dict(before)
    for one in learn:  # what is learned is wrong: the other way round
        one.original, one.coarse = one.coarse.flip(3), one.original
    assert not score_fit.regress_if_better(net, learn, held, seed=0, steps=20, going_on=by_steps(100))
    assert all(torch.equal(value, before[name]) for name, value in net.mask.state_dict().items())


def test_time_ends_it(net: mga.MGANet) -> None:
    net.mask.requires_grad_(True)
    assert score_fit.regress(net, samples(net, sides=(24,), count=4), seed=0, steps=600, going_on=by_steps(20)) < 20


def test_standardising_counts_every_patch_of_every_size(net: mga.MGANet) -> None:
    score = net.mask
    assert isinstance(score, ScorePredictor)
    x, y = torch.randn(score.mean.numel(), 50) * 3 + 1, torch.randn(2, 50) * 2 - 5
    score_fit.standardise(score, x, y)
    torch.testing.assert_close(score.mean.flatten(), x.mean(dim=1))
    torch.testing.assert_close(score.level, torch.stack([y.mean(dim=1), y.std(dim=1) + 1e-3]))


def test_a_higher_loss_asks_for_a_smaller_share(net: mga.MGANet) -> None:
    net.mask.requires_grad_(True)
    found = samples(net, sides=(24,), count=12)
    score_fit.regress(net, found, seed=0, steps=50, going_on=by_steps(1000))
    score_fit.calibrate(net, found)
    score = net.mask
    assert isinstance(score, ScorePredictor)
    assert score.is_calibrated
    shares = score.calibration[:, 2].tolist()
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]
