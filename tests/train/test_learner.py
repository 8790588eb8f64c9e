"""The learner of a stage: its learning rate, its average, and what it gives back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from toys.trainings import STAGES, paper_net

from mga_wrap.train.crops import Batch
from mga_wrap.train.learner import Learner
from mga_wrap.train.stages import Stage


@pytest.fixture
def accelerator() -> Iterator[Accelerator]:
    yield Accelerator(cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)


def learner_of(stage: Stage, accelerator: Accelerator) -> Learner:
    net = paper_net()
    parameters = dict(net.base.named_parameters())
    return Learner(net, stage, seed=(0, 0), parameters=parameters, teacher=None, accelerator=accelerator)


def batch() -> Batch:
    torch.manual_seed(5)
    return Batch(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16), ("a", "b"))


def rates(stage: Stage, accelerator: Accelerator) -> list[float]:
    learner = learner_of(stage, accelerator)
    found = []
    for _ in range(stage.steps):
        learner.update([batch()])
        found.append(learner.rate)
    return found


def test_the_learning_rate_warms_up_and_goes_down_to_zero(accelerator: Accelerator) -> None:
    found = rates(replace(STAGES[0], steps=24, warmup=4, rate=1e-2), accelerator)
    assert found[:4] == pytest.approx([2.5e-3, 4.375e-3, 6.25e-3, 8.125e-3])
    assert found[4] == 1e-2
    assert found[14] == pytest.approx(5e-3)
    assert 0 < found[-1] < 1e-4
    assert all(one > two for one, two in itertools.pairwise(found[4:]))


def test_the_cosine_restarts(accelerator: Accelerator) -> None:
    found = rates(replace(STAGES[0], steps=20, warmup=0, cycles=2, rate=1e-2), accelerator)
    assert found[0] == found[10] == 1e-2
    assert found[9] == found[19] < 1e-3


def test_a_stage_shorter_than_its_warm_up_still_learns(accelerator: Accelerator) -> None:
    for steps in (1, 2, 3):
        assert max(rates(replace(STAGES[0], steps=steps, warmup=200, rate=1e-2), accelerator)) > 4e-3


def test_the_average_follows_the_weights_and_is_lent_for_a_moment(accelerator: Accelerator) -> None:
    learner = learner_of(replace(STAGES[0], ema=0.5), accelerator)
    weight = learner.net.base.get_parameter("head.weight")
    seen = []
    for _ in range(3):
        learner.update([batch()])
        seen.append(weight.detach().clone())
    expected = seen[0]
    for number, now in enumerate(seen[1:], 1):
        expected = expected.lerp(now, 1 - min(0.5, number / (number + 9)))
    learner.net.train()
    with learner.averaged():
        torch.testing.assert_close(weight.detach(), expected)
        assert not learner.net.training
    assert torch.equal(weight.detach(), seen[-1])
    assert learner.net.training
    learner.keep_average()
    torch.testing.assert_close(weight.detach(), expected)


def test_gradients_are_clipped(accelerator: Accelerator) -> None:
    learner = learner_of(replace(STAGES[0], clip=1e-3), accelerator)
    seen = []
    learner._optimiser.step = lambda: seen.append([x.grad for x in learner._held])
    learner.update([batch()])
    norm = torch.stack([gradient.norm() for gradient in seen[0]]).norm().item()
    assert norm == pytest.approx(1e-3, rel=1e-3)
