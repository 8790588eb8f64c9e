"""What learns in one stage: the loss as a module, the optimiser, its schedule, and the averaged weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from timm.optim import Muon
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from mga_wrap.errors import CheckpointError, one_line
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.parts import evaluating
from mga_wrap.train.best import Best
from mga_wrap.train.losses import LOSSES, Outputs
from mga_wrap.train.stages import Stage
from mga_wrap.train.state import load_optimiser, optimiser_tensors, under, with_prefix

BETAS = (0.9, 0.99)
ADAMS = {"step", "exp_avg", "exp_avg_sq"}
"""What Adam gathers of a parameter."""
MUONS = {"use_muon", "momentum_buffer"}
"""What Muon gathers of a matrix; of anything else what Adam does, and that it is none."""
MOMENTUM = 0.9
KNOWN = {"adam": (ADAMS,), "muon": (MUONS, ADAMS | {"use_muon"})}
AVERAGE_OVER = 9.0
"""After n steps the averaged weights are those of at most about n / 9 steps: a short stage is averaged over less."""


class Lesson(nn.Module):
    """From crops to a loss, as one module: it is what several processes share the gradients of.

    Args:
        net: learns.
        losses: their weights by name.
        teacher: holds the original's weights, if `net` no longer does.
        taught: the original's output is the target, also where there is HR.
    """

    def __init__(self, net: MGANet, losses: Mapping[str, float], teacher: MGANet | None, *, taught: bool) -> None:
        super().__init__()
        self.net, self.losses, self.taught = net, dict(losses), taught
        self._teacher = (teacher,)  # no child: it does not learn

    def outputs(self, lr: Tensor, hr: Tensor | None, original: Tensor | None = None) -> Outputs:
        """What the net makes of crops, (B, 3, H, W), and what it should; original: its output if it is known."""
        return Outputs(self.net, lr, hr, teacher=self._teacher[0], taught=self.taught, original=original)

    def forward(self, lr: Tensor, hr: Tensor | None, original: Tensor | None = None) -> Tensor:
        """(B, 3, H, W), (B, 3, s*H, s*W) -> a scalar; without hr the original's output is the target."""
        out = self.outputs(lr, hr, original)
        return torch.stack([weight * LOSSES[name](out) for name, weight in self.losses.items()]).sum()


class Learner:
    """One stage under way: what the trainer's loop moves on, and what of it is kept.

    Args:
        net: learns, in place.
        stage: says how.
        parameters: those that learn, by name.
        lesson: crops -> loss.
        best: the best weights so far.
        accelerator: knows the device and the other processes.

    Attributes:
        lesson: shared with the other processes.
        parameters: those that learn.
        optimiser: of them.
        schedule: of its learning rate, `schedule.step_update(step)`.
        average: of them over the last steps, `average.update(parameters, step=step)`.
        step: updates that are done.
    """

    def __init__(
        self,
        net: MGANet,
        stage: Stage,
        *,
        parameters: Mapping[str, nn.Parameter],
        lesson: Lesson,
        best: Best,
        accelerator: Accelerator,
    ) -> None:
        self.net, self.stage, self.best, self.step = net, stage, best, 0
        self.parameters = nn.ParameterList(parameters.values())
        self._own = optimiser_of(stage, self.parameters)
        self.lesson, self.optimiser = accelerator.prepare(lesson, self._own)
        self.schedule = schedule_of(stage, self._own)
        self.average = ModelEmaV3(
            self.parameters, decay=stage.ema, use_warmup=True, warmup_gamma=AVERAGE_OVER, warmup_power=1.0
        )

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        return float(self._own.param_groups[0]["lr"])

    def tensors(self) -> dict[str, Tensor]:
        """What `load` needs, beside the weights of the net."""
        average = dict(self.average.module.named_parameters())
        own = with_prefix("average", average) | with_prefix("optimiser", optimiser_tensors(self._own))
        return own | self.best.tensors()

    def load(self, tensors: dict[str, Tensor], *, step: int) -> None:
        """Go on from `tensors()` after `step` steps.

        Raises:
            CheckpointError: they are not of this stage.
        """
        try:
            load_optimiser(self._own, under("optimiser", tensors))
            gathered = [one.keys() for one in self._own.state.values()]
            if not gathered or any(one not in KNOWN[self.stage.optimiser] for one in gathered):
                raise ValueError("what the optimiser has gathered is not complete")
            self.average.module.load_state_dict(under("average", tensors))
            self.best.load(tensors)
        except (KeyError, RuntimeError, ValueError) as error:  # KeyError: what torch misses in it
            raise CheckpointError(
                f"the state does not hold what stage {self.stage.name!r} has learned ({one_line(error)}); delete "
                "state.safetensors to start again"
            ) from error
        self.step = step

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The net with the averaged weights in place of the current ones, in eval mode."""
        current = copy.deepcopy(self.parameters)
        try:
            _copy(self.average.module, self.parameters)
            with evaluating(self.net):
                yield
        finally:
            _copy(current, self.parameters)


def optimiser_of(stage: Stage, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser that a stage names, at its highest rate."""
    if stage.optimiser == "muon":
        return Muon(parameters, lr=stage.rate, momentum=MOMENTUM, betas=BETAS)
    return torch.optim.Adam(parameters, lr=stage.rate, betas=BETAS)


def schedule_of(stage: Stage, optimiser: torch.optim.Optimizer) -> CosineLRScheduler:
    """Warm-up, then the cosine; timm counts a schedule of one step as none.

    What takes half of the stage rises no further than it would have come in that time.
    """
    warmup = min(stage.warmup, stage.steps // 2)
    for group in optimiser.param_groups:
        group["lr"] = stage.rate * min(1.0, max(warmup, 1) / max(stage.warmup, 1))
    return CosineLRScheduler(
        optimiser,
        t_initial=max(math.ceil((stage.steps - warmup) / stage.cycles), 2),
        cycle_limit=stage.cycles,
        warmup_t=warmup,
        warmup_lr_init=stage.rate / max(stage.warmup, 1),
        warmup_prefix=True,
        t_in_epochs=False,
    )


@torch.no_grad()
def _copy(source: nn.Module, target: nn.Module) -> None:
    for value, parameter in zip(source.parameters(), target.parameters(), strict=True):
        parameter.copy_(value)
