"""The best weights of a stage: which figure decides, what is kept, and what a state holds of it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from toys.trainings import STAGES, paper_net

import mga_wrap as mga
from mga_wrap.train.best import Best, Judge
from mga_wrap.train.crops import Batch
from mga_wrap.train.stages import stage_set

HELD = [Batch(torch.zeros(1, 3, 8, 8), None, ("a",))] * 2


def best_of(figures: list[float]) -> Best:
    """Looks find these figures, one after the other; the last layer of the mask learns."""
    rest = iter(figures)
    return Best(paper_net(), ["mask.conv2.bias"], judge=lambda net: (next(rest), {}))


def looked(best: Best, count: int) -> float:
    """At each look the bias is the number of the look; then the best are put back."""
    bias = best.net.mask.conv2.bias
    for step in range(count):
        torch.nn.init.constant_(bias, float(step))
        best.look(step)
    best.put_back()
    return float(bias[0])


NAN = math.nan


@pytest.mark.parametrize(
    ("figures", "kept"), [([1, 3, 2], 1), ([3, 2, 1], 0), ([2, 2, 1], 1), ([NAN, 1, NAN], 1), ([-math.inf, NAN], 0)]
)
def test_the_highest_figure_is_kept_and_of_equals_the_later(figures: list[float], kept: int) -> None:
    best = best_of(figures)
    assert looked(best, len(figures)) == kept == best.step


def test_it_goes_on_where_it_was() -> None:
    one, two = best_of([5, 3]), best_of([4, 4])
    looked(one, 2)
    two.load({name: value.clone() for name, value in one.tensors().items()})
    assert looked(two, 2) == 0
    assert (two.figure, two.step) == (5, 0)
    older = best_of([1])
    older.load({})
    assert older.figure == -math.inf


@pytest.fixture
def accelerator() -> Iterator[Accelerator]:
    yield Accelerator(cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)


EYE = stage_set("finetune-perceptual")[0]


@pytest.mark.parametrize(
    ("stage", "figures", "expected"),
    [
        (STAGES[0], {"psnr_0": 20.0, "psnr_0.25": 30.0}, 30.0),
        (STAGES[0], {"psnr_0": 20.0, "psnr_auto": NAN}, 20.0),
        (STAGES[0], {"psnr_auto": NAN}, -2.0),
        (STAGES[0], None, -2.0),
        (EYE, {"psnr_0": 20.0}, -2.0),
    ],
)
def test_which_figure_decides(
    stage: mga.Stage, figures: dict[str, float] | None, expected: float, accelerator: Accelerator
) -> None:
    judge = Judge(
        lambda lr, hr: torch.tensor(2.0),
        held=HELD,
        stage=stage,
        validator=None if figures is None else lambda net: figures,
        accelerator=accelerator,
    )
    assert judge(paper_net()) == (expected, figures or {})
