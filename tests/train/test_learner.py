"""The learner of a stage: its learning rate, its average, and what it gives back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from toys.trainings import STAGES, paper_net

import mga_wrap as mga
from mga_wrap.train.best import Best
from mga_wrap.train.learner import Learner, Lesson, schedule_of
from mga_wrap.train.stages import Stage
from mga_wrap.train.state import State, load_state, save_state


@pytest.fixture
def accelerator() -> Iterator[Accelerator]:
    yield Accelerator(cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)


def learner_of(stage: Stage, accelerator: Accelerator) -> Learner:
    net = paper_net()
    parameters = {f"base.{name}": parameter for name, parameter in net.base.named_parameters()}
    lesson, best = Lesson(net, stage.losses, None, taught=False), Best(net, parameters, judge=lambda net: (0.0, {}))
    return Learner(net, stage, parameters=parameters, lesson=lesson, best=best, accelerator=accelerator)


def step(learner: Learner) -> None:
    """One step without the trainer."""
    torch.manual_seed(learner.step)
    learner.schedule.step_update(learner.step)
    learner.lesson(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16)).backward()
    learner.optimiser.step()
    learner.optimiser.zero_grad()
    learner.step += 1
    learner.average.update(learner.parameters, step=learner.step)


def rates(**changes: object) -> list[float]:
    """The learning rate of each step of a stage."""
    stage = replace(STAGES[0], rate=1e-2, **changes)
    optimiser = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=stage.rate)
    schedule, found = schedule_of(stage, optimiser), []
    for number in range(stage.steps):
        schedule.step_update(number)
        found.append(optimiser.param_groups[0]["lr"])
    return found


# The learning rate ---------------------------------------------------------------------------------------------------


def test_the_learning_rate_warms_up_and_goes_down_to_zero() -> None:
    found = rates(steps=24, warmup=4)
    assert found[:4] == pytest.approx([2.5e-3, 4.375e-3, 6.25e-3, 8.125e-3])
    assert found[4] == 1e-2
    assert found[14] == pytest.approx(5e-3)
    assert 0 < found[-1] < 1e-4
    assert all(one > two for one, two in itertools.pairwise(found[4:]))


def test_the_cosine_restarts() -> None:
    found = rates(steps=20, warmup=0, cycles=2)
    assert found[0] == found[10] == 1e-2
    assert found[9] == found[19] < 1e-3


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 50, 200, 399, 400])
def test_a_short_stage_rises_no_faster_than_a_long_one_and_comes_down(steps: int) -> None:
    found, long = rates(steps=steps, warmup=200), rates(steps=4000, warmup=200)
    half = steps // 2
    assert all(0.75 * two <= one <= two * (1 + 1e-6) for one, two in zip(found[:half], long[:half], strict=True))
    assert max(found) == pytest.approx(1e-2 * max(half, 1) / 200)
    assert found[half:] == sorted(found[half:], reverse=True)


@given(steps=st.integers(1, 60), warmup=st.integers(0, 70), cycles=st.integers(1, 70))
def test_no_step_is_faster_than_its_warm_up_and_none_stands_still(steps: int, warmup: int, cycles: int) -> None:
    found = rates(steps=steps, warmup=warmup, cycles=cycles)
    for number, rate in enumerate(found):
        assert 0 < rate <= 1e-2 * min(1.0, (number + 1) / max(warmup, 1)) * (1 + 1e-6)
    if 2 * warmup <= steps:
        assert max(found) == pytest.approx(1e-2)


def test_the_learner_says_the_rate_of_its_last_step(accelerator: Accelerator) -> None:
    learner = learner_of(replace(STAGES[0], steps=24, warmup=4, rate=1e-2), accelerator)
    for expected in rates(steps=24, warmup=4)[:6]:
        step(learner)
        assert learner.rate == expected


# The average ---------------------------------------------------------------------------------------------------------


def test_the_average_follows_the_weights_and_is_lent_for_a_moment(accelerator: Accelerator) -> None:
    learner = learner_of(replace(STAGES[0], ema=0.5), accelerator)
    weight = learner.net.base.get_parameter("head.weight")
    seen = []
    for _ in range(3):
        step(learner)
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


# What it gives back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_a_learner_goes_on_where_another_was(optimiser: str, accelerator: Accelerator, tmp_path: Path) -> None:
    stage = replace(STAGES[0], optimiser=optimiser)
    one, two = learner_of(stage, accelerator), learner_of(stage, accelerator)
    for _ in range(3):
        step(one)
    with one.averaged():
        one.best.look(3)
    two.net.load_state_dict(one.net.state_dict())
    save_state(State(0, one.step, one.tensors(), {"stages": [{"name": "restore"}]}), tmp_path)
    saved = load_state(tmp_path)
    assert saved is not None
    two.load(saved.tensors, step=one.step)
    for learner in (one, two):
        step(learner)
        with learner.averaged():
            learner.best.look(learner.step)
    assert one.step == two.step == 4
    assert one.tensors().keys() == two.tensors().keys()
    assert all(torch.equal(value, two.tensors()[name]) for name, value in one.tensors().items())


def without(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if not name.startswith(prefix)}


WRONG = {
    "no optimiser": lambda tensors: without(tensors, "optimiser."),
    "half an optimiser": lambda tensors: without(tensors, "optimiser.0.exp_avg_sq"),
    "no average": lambda tensors: without(tensors, "average."),
    "another average": lambda tensors: tensors | {"average.0": torch.zeros(1, 2)},
    "a parameter more": lambda tensors: tensors | {"optimiser.99.step": torch.tensor(1.0)},
    "no number": lambda tensors: tensors | {"optimiser.first.step": torch.tensor(1.0)},
    "half of the best": lambda tensors: without(tensors, "best.base.head"),
    "the best of nothing": lambda tensors: without(tensors, "judged.figure"),
    "another shape": lambda tensors: tensors | {"optimiser.0.exp_avg": torch.zeros(1, 2)},
}


@pytest.mark.parametrize(("begun", "goes_on"), [("adam", "muon"), ("muon", "adam")])
def test_what_another_optimiser_has_gathered_is_refused(begun: str, goes_on: str, accelerator: Accelerator) -> None:
    learner = learner_of(replace(STAGES[0], optimiser=begun), accelerator)
    step(learner)
    learner.best.look(1)
    with pytest.raises(mga.CheckpointError, match="does not hold what stage 'restore' has learned"):
        learner_of(replace(STAGES[0], optimiser=goes_on), accelerator).load(learner.tensors(), step=1)


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_not_of_this_stage_is_refused(kind: str, accelerator: Accelerator) -> None:
    learner = learner_of(STAGES[0], accelerator)
    step(learner)
    learner.best.look(1)
    with pytest.raises(mga.CheckpointError, match=r"does not hold what stage 'restore' has learned \(.*\); delete"):
        learner_of(STAGES[0], accelerator).load(WRONG[kind](learner.tensors()), step=1)
