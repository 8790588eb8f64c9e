"""What learns in one stage: the loss as a module, the optimiser, its schedule, and the averaged weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from accelerate import Accelerator
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from mga_wrap.errors import TrainingError
from mga_wrap.nets.mga import MGANet
from mga_wrap.train.crops import Batch
from mga_wrap.train.losses import LOSSES, Outputs
from mga_wrap.train.stages import Stage
from mga_wrap.train.state import load_optimiser, optimiser_tensors, under, with_prefix

BETAS = (0.9, 0.99)
AVERAGE_OVER = 9.0
"""After n steps the averaged weights are those of at most about n / 9 steps: a short stage is averaged over less."""


class Lesson(nn.Module):
    """From crops to a loss, as one module: it is what several processes share the gradients of.

    Args:
        net: learns.
        losses: their weights by name.
        teacher: holds the original's weights, if `net` no longer does.
    """

    def __init__(self, net: MGANet, losses: Mapping[str, float], teacher: MGANet | None) -> None:
        super().__init__()
        self.net, self.losses = net, dict(losses)
        self._teacher = (teacher,)  # no child: it does not learn

    def forward(self, lr: Tensor, hr: Tensor | None) -> Tensor:
        """(B, 3, H, W), (B, 3, s*H, s*W) -> a scalar; without hr the original's output is the target."""
        out = Outputs(self.net, lr, hr, teacher=self._teacher[0])
        return torch.stack([weight * LOSSES[name](out) for name, weight in self.losses.items()]).sum()


class Learner:
    """One stage under way.

    Args:
        net: learns, in place.
        stage: says how.
        seed: of what a layer draws (dropout); each step has its own.
        parameters: those that learn, by name.
        teacher: see `Lesson`.
        accelerator: knows the device and the other processes.
    """

    def __init__(
        self,
        net: MGANet,
        stage: Stage,
        *,
        seed: tuple[int, ...],
        parameters: Mapping[str, nn.Parameter],
        teacher: MGANet | None,
        accelerator: Accelerator,
    ) -> None:
        self.net, self.stage, self.accelerator, self.step = net, stage, accelerator, 0
        self._seed = seed
        self._held = nn.ParameterList(parameters.values())
        self._plain = torch.optim.Adam(self._held, lr=stage.rate, betas=BETAS)
        self._lesson, self._optimiser = accelerator.prepare(Lesson(net, stage.losses, teacher), self._plain)
        self._schedule = _schedule(stage, self._plain)
        self._average = ModelEmaV3(
            self._held, decay=stage.ema, use_warmup=True, warmup_gamma=AVERAGE_OVER, warmup_power=1.0
        )

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        return float(self._plain.param_groups[0]["lr"])

    def update(self, batches: Sequence[Batch]) -> float:
        """One step: the gradients of these batches averaged, here and over all processes; returns the loss.

        Raises:
            TrainingError: the loss or its gradient is not finite; the weights are those of the step before.
        """
        torch.manual_seed(int(np.random.SeedSequence([*self._seed, self.step]).generate_state(1)[0]))
        self._schedule.step_update(self.step)
        loss = self._backward(batches)
        norm = float(self.accelerator.clip_grad_norm_(self._held, self.stage.clip))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._not_finite(loss, norm, batches)
        self._optimiser.step()
        self._optimiser.zero_grad()
        self.step += 1
        self._average.update(self._held, step=self.step)
        return loss

    def _backward(self, batches: Sequence[Batch]) -> float:
        total = torch.zeros((), device=self.accelerator.device)
        for number, batch in enumerate(batches, 1):
            moved = batch.to(self.accelerator.device)
            with nullcontext() if number == len(batches) else self.accelerator.no_sync(self._lesson):
                loss = self._lesson(moved.lr, moved.hr) / len(batches)
                self.accelerator.backward(loss)
            total += loss.detach()
        return float(self.accelerator.reduce(total, reduction="mean"))

    def _not_finite(self, loss: float, norm: float, batches: Sequence[Batch]) -> TrainingError:
        names = sorted({name for batch in batches for name in batch.names})
        return TrainingError(
            f"stage {self.stage.name!r}, step {self.step}: the loss is {loss}, the norm of its gradient {norm}; "
            f"expected finite numbers. The crops are from {', '.join(names)}. The last state is kept: look at these "
            "images, or lower the stage's rate and start again in another output_dir"
        )

    def tensors(self) -> dict[str, Tensor]:
        """What `load` needs, beside the weights of the net."""
        average = dict(self._average.module.named_parameters())
        return with_prefix("average", average) | with_prefix("optimiser", optimiser_tensors(self._plain))

    def load(self, tensors: dict[str, Tensor], *, step: int) -> None:
        """Go on from `tensors()` after `step` steps."""
        self.step = step
        load_optimiser(self._plain, under("optimiser", tensors))
        with torch.no_grad():
            for name, value in under("average", tensors).items():
                self._average.module.get_parameter(name).copy_(value)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The net with the averaged weights in place of the current ones, in eval mode."""
        current = copy.deepcopy(self._held)
        modes = [(module, module.training) for module in self.net.modules()]
        try:
            self.keep_average()
            self.net.eval()
            yield
        finally:
            _copy(current, self._held)
            for module, mode in modes:
                module.training = mode

    def keep_average(self) -> None:
        """Put the averaged weights in place of the current ones."""
        _copy(self._average.module, self._held)


def _schedule(stage: Stage, optimiser: torch.optim.Optimizer) -> CosineLRScheduler:
    """Warm-up, then the cosine; timm counts a schedule of one step as none."""
    warmup = min(stage.warmup, max(stage.steps - 2, 0))
    return CosineLRScheduler(
        optimiser,
        t_initial=max(math.ceil((stage.steps - warmup) / stage.cycles), 2),
        cycle_limit=stage.cycles,
        warmup_t=warmup,
        warmup_lr_init=stage.rate / max(warmup, 1),
        warmup_prefix=True,
        t_in_epochs=False,
    )


@torch.no_grad()
def _copy(source: nn.Module, target: nn.Module) -> None:
    for value, parameter in zip(source.parameters(), target.parameters(), strict=True):
        parameter.copy_(value)
