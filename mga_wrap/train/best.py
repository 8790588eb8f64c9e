"""The best weights of a stage so far, those at its start included: what a stage ends with."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from mga_wrap.errors import one_line
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.parts import evaluating
from mga_wrap.train.crops import Batch
from mga_wrap.train.stages import Stage
from mga_wrap.train.state import under, with_prefix
from mga_wrap.train.validate import Validator


class Judge:
    """Says how good a net is within one stage.

    By the last amount of the validation for which there is a figure; where there is no validation, and in a stage that
    teaches for the eye (`Stage.for_the_eye`), which PSNR would call worse, by the stage's own loss on crops that are
    held out.

    Args:
        lesson: crops -> loss.
        held: the crops.
        stage: whose losses they are.
        validator: of the main process; None: there is no validation.
        accelerator: knows the other processes; they all get the main one's answer.
    """

    def __init__(
        self,
        lesson: nn.Module,
        *,
        held: Sequence[Batch],
        stage: Stage,
        validator: Validator | None,
        accelerator: Accelerator,
    ) -> None:
        self.lesson, self.held, self.validator, self.accelerator = lesson, held, validator, accelerator
        self.for_the_eye = stage.for_the_eye

    def __call__(self, net: MGANet) -> tuple[float, dict[str, float]]:
        """(the figure that decides, the larger the better; the validation's figures by column)."""
        figures: dict[str, float] = {}
        figure = 0.0
        if self.accelerator.is_main_process:
            figures = self.validator(net) if self.validator is not None else {}
            measured = [] if self.for_the_eye else [value for value in figures.values() if not math.isnan(value)]
            figure = measured[-1] if measured else -self._loss()
        (same,) = broadcast_object_list([figure])
        return float(same), figures

    @torch.no_grad()
    def _loss(self) -> float:
        with self.accelerator.autocast():
            losses = [float(self.lesson(batch.lr, batch.hr)) for batch in self.held]
        return sum(losses) / len(losses)


class Best:
    """The best weights of a stage so far: of what learns, and every buffer of the net.

    Args:
        net: they are its own.
        learning: names of the parameters that learn.
        judge: net -> (figure, figures by name); the larger the figure, the better.

    Attributes:
        figure: of the best; -inf before the first look.
        step: at which it was looked at.
    """

    def __init__(
        self,
        net: MGANet,
        learning: Collection[str],
        *,
        judge: Callable[[MGANet], tuple[float, dict[str, float]]],
    ) -> None:
        self.net, self.judge = net, judge
        self.figure, self.step = -math.inf, 0
        self._names = {*learning, *(name for name, _ in net.named_buffers())}
        self._kept: dict[str, Tensor] = {}

    def look(self, step: int) -> dict[str, float]:
        """Judge the net as it is, and keep it if it is as good as the best; returns the figures by name."""
        with evaluating(self.net):
            figure, figures = self.judge(self.net)
        if figure >= self.figure:  # the later of two equals: a validation need not depend on what learns
            self.figure, self.step = figure, step
            self._kept = {name: x.clone() for name, x in self._current().items()}
        return figures

    def put_back(self) -> None:
        """Put the best weights in place of the current ones."""
        current = self._current()
        for name, value in self._kept.items():
            current[name].copy_(value)

    def tensors(self) -> dict[str, Tensor]:
        """What `load` needs."""
        judged = {"figure": torch.tensor(self.figure, dtype=torch.float64), "step": torch.tensor(self.step)}
        return with_prefix("best", self._kept) | with_prefix("judged", judged)

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from `tensors()`; a state of an older version holds none of them.

        Raises:
            ValueError: they are not of this net.
        """
        kept, judged, current = under("best", tensors), under("judged", tensors), self._current()
        if not (kept or judged):
            return
        if {name: x.shape for name, x in kept.items()} != {name: x.shape for name, x in current.items()}:
            raise ValueError("the best weights so far are not of what learns")
        try:
            self.figure, self.step = float(judged["figure"]), int(judged["step"])
        except KeyError as error:
            raise ValueError(f"the best weights so far have no {one_line(error)}") from error
        self._kept = {name: x.to(current[name].device) for name, x in kept.items()}

    def _current(self) -> dict[str, Tensor]:
        """The net's own tensors; what a checkpoint does not hold needs no keeping."""
        return {name: x for name, x in self.net.state_dict().items() if name in self._names}
