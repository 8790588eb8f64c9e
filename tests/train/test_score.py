"""The score of a network before and after the stage that teaches it."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from toys.plain import build
from toys.trainings import FINETUNE, equal

import mga_wrap as mga
from mga_wrap.train.crops import Batch
from mga_wrap.train.data import Pair
from mga_wrap.train.losses import Outputs, known_and_wanted, score_loss
from mga_wrap.train.score import calibrate_score, samples_of, start_score


def net_of() -> mga.MGANet:
    net = mga.accelerate(build("LongSkip", 2), p=4).eval()
    net.said_unfitted = True
    return net


def batch(*, hr: bool, seed: int = 0) -> Batch:
    draw = torch.Generator().manual_seed(seed)
    lr, large = (torch.rand(6, 3, side, side, generator=draw) for side in (16, 32))
    return Batch(lr, large if hr else None, ("a",) * 6)


def pairs(side: int) -> list[Pair]:
    return [Pair("a", (255 * torch.rand(side, side, 3)).byte().numpy(), None)]


@torch.no_grad()
def test_a_score_starts_at_the_mean_of_what_it_should_say() -> None:
    """So the loss, in deviations, starts at 1."""
    net, given = net_of(), batch(hr=True)
    outputs = [Outputs(net, one.lr, one.hr) for one in given.split(2)]
    start_score(net, outputs, [])
    assert net.mask.fitted
    statistics, wanted = known_and_wanted(Outputs(net, given.lr, given.hr))
    torch.testing.assert_close(net.mask.level[0], wanted.mean(dim=(0, 2, 3)))
    known = (statistics - net.mask.mean) / net.mask.deviation
    assert known.mean(dim=(0, 2, 3)).abs().max() < 1e-2
    assert score_loss(Outputs(net, given.lr, given.hr)).item() == pytest.approx(1, abs=0.05)


def test_without_hr_what_is_left_comes_from_reduced_images() -> None:
    net, given = net_of(), batch(hr=False)
    samples = samples_of(net, given, pairs(64), side=16, seed=0)
    start_score(net, [Outputs(net, given.lr, None)], samples)
    assert net.mask.level[:, 0].tolist() != net.mask.level[:, 1].tolist()
    assert calibrate_score(net, samples)
    assert net.mask.is_calibrated


def test_there_is_nothing_to_calibrate_by() -> None:
    net, given = net_of(), batch(hr=False)
    assert samples_of(net, given, pairs(8), side=16, seed=0) == []
    assert not calibrate_score(net, [])
    assert not calibrate_score(net, samples_of(net, batch(hr=True), [], side=16, seed=0))  # it has never learned
    assert not net.mask.is_calibrated


@pytest.mark.slow
def test_a_run_that_goes_on_chooses_at_the_border_as_it_did(make: Callable[..., mga.MGATrainer]) -> None:
    """From networks that were saved before patches at the border counted for what they have."""

    def saved_before(net: mga.MGANet) -> mga.MGANet:
        other = copy.deepcopy(net)
        other.mask.by_area = False
        return other

    given = net_of()
    whole = make(net=saved_before(given), stages=FINETUNE).fit()
    again = make(net=saved_before(given), stages=FINETUNE).fit()  # all stages are done: from the state
    assert equal(again, whole)
    assert whole.mask.by_area
    assert again.mask.by_area
    lr = torch.rand(1, 3, 18, 21)
    assert torch.equal(again.trace(lr).score, whole.trace(lr).score)
    fitted = make("fitted", net=saved_before(whole), stages=FINETUNE).fit()
    assert not fitted.mask.by_area  # its score goes on from what it says
