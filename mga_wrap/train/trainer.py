"""The trainer: stage by stage, on accelerate, and nothing lost at a kill."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from mga_wrap.errors import ArgumentError, CheckpointError, TrainingError
from mga_wrap.nets.light import LightTail
from mga_wrap.nets.mga import MGANet
from mga_wrap.train.crops import Batch, Crops, batches
from mga_wrap.train.data import Data, Images, read_images
from mga_wrap.train.least_squares import fit_coarse_tail
from mga_wrap.train.log import Log
from mga_wrap.train.losses import LOSSES, Outputs
from mga_wrap.train.parts import coarse_tail, is_the_original, learning, parameters_of
from mga_wrap.train.progress import Progress
from mga_wrap.train.stages import FINETUNE_STAGES, PAPER_STAGES, Stage
from mga_wrap.train.state import State, load_optimiser, load_state, optimiser_tensors, save_state, under, with_prefix
from mga_wrap.train.validate import Validation, Validator

Target = Literal["hr", "original"]


class MGATrainer:
    """Trains an accelerated network, stage by stage.

    `output_dir` gets `last/` and `best/` (what `mga_wrap.from_pretrained` reads), `log.csv`, and `state.safetensors`:
    from it a training that was killed at any moment goes on, bit for bit, when the same is started again.

    Args:
        net: what learns, in place.
        data: a folder of HR images of any size, or `Data` to say more.
        stages: one after the other; None: `PAPER_STAGES` or `FINETUNE_STAGES`, by the style of the net.
        output_dir: a folder of its own.
        target: "hr", or "original": what the network makes of lr with `k="dense"` before it is trained; no ground
            truth is needed. Style "continue" only.
        validation: a folder of HR images, or `Validation` to say more; None: no validation, and `best/` is not written.
        seed: of all that is drawn.
        device: "auto" or "cpu".
        precision: "no" or "bf16"; None: what `accelerate launch` says.
        tensorboard: write the log for TensorBoard, too.
        save_seconds: time between two states; at most so much work is lost by a kill.

    Raises:
        ArgumentError: an argument is out of its range, or a stage names a part that the network does not have.
        ImageError: there are no images, or none large enough.
    """

    def __init__(
        self,
        net: MGANet,
        data: str | Path | Data,
        *,
        output_dir: str | Path,
        stages: Sequence[Stage] | None = None,
        target: Target = "hr",
        validation: str | Path | Validation | None = None,
        seed: int = 0,
        device: Literal["auto", "cpu"] = "auto",
        precision: Literal["no", "bf16"] | None = None,
        tensorboard: bool = False,
        save_seconds: float = 60.0,
    ) -> None:
        _expect("target", target, ("hr", "original"))
        _expect("device", device, ("auto", "cpu"))
        _expect("precision", precision, ("no", "bf16", None))
        continues = net.geometry.border == "shift"
        if target == "original" and not continues:
            raise ArgumentError("got target='original' for a network in style 'paper'; expected style 'continue'")
        self.net, self.target, self.seed = net, target, seed
        self.data = data if isinstance(data, Data) else Data(hr=Path(data))
        self.validation = validation if isinstance(validation, Validation | None) else Validation(Path(validation))
        self.stages = tuple(stages if stages is not None else FINETUNE_STAGES if continues else PAPER_STAGES)
        self.output_dir = Path(output_dir)
        self.device, self.precision, self.tensorboard = device, precision, tensorboard
        self.save_seconds = save_seconds
        self._check_stages()

    def fit(self) -> MGANet:
        """Train through all stages, from the saved state if there is one.

        Returns:
            The net, with the averaged weights.

        Raises:
            TrainingError: a loss is not finite; the last good state is kept.
            CheckpointError: the folder cannot be written, or holds the state of another training.
        """
        return _Fit(self).run()

    def _check_stages(self) -> None:
        names = [stage.name for stage in self.stages]
        if not names or len(set(names)) < len(names):
            raise ArgumentError(f"got stages named {names}; expected at least one, each with a name of its own")
        for stage in self.stages:
            parameters_of(self.net, stage.parts, side=stage.crop)


def _expect(name: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise ArgumentError(f"got {name}={value!r}; expected one of {', '.join(map(repr, known))}")


@dataclass(eq=False)
class _Learner:
    """What a stage needs beside the network."""

    stage: Stage
    number: int
    parameters: dict[str, nn.Parameter]
    lesson: nn.Module
    optimiser: Any
    schedule: CosineLRScheduler
    average: ModelEmaV3
    step: int = 0


class _Lesson(nn.Module):
    """From crops to a loss, as one module, which is what several processes share the gradients of."""

    def __init__(self, net: MGANet, losses: dict[str, float], teacher: MGANet | None) -> None:
        super().__init__()
        self.net, self.losses = net, losses
        self._teacher = (teacher,)  # not a child: it neither learns nor is kept

    def forward(self, lr: Tensor, hr: Tensor | None) -> Tensor:
        """(B, 3, H, W), (B, 3, s*H, s*W) -> a scalar."""
        out = Outputs(self.net, lr, hr, teacher=self._teacher[0])
        return torch.stack([weight * LOSSES[name](out) for name, weight in self.losses.items()]).sum()


class _Fit:
    """One call of `MGATrainer.fit`."""

    def __init__(self, trainer: MGATrainer) -> None:
        self.trainer, self.net, self.stages = trainer, trainer.net, trainer.stages
        self.accelerator = Accelerator(
            cpu=trainer.device == "cpu",
            mixed_precision=trainer.precision,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        self.main = self.accelerator.is_main_process
        self.net.to(self.accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        taught = trainer.target == "original"
        self.images = self._read(taught)
        self.teacher = self._make_teacher() if taught else None
        self.validator = None
        if trainer.validation is not None and self.main:
            self.validator = Validator(self.net, trainer.validation, taught=taught)
        self.best, self.seconds = -math.inf, 0.0

    def run(self) -> MGANet:
        folder = self.trainer.output_dir
        state = self._prepare(folder)
        stage, step = (state.stage, state.step) if state is not None else (0, 0)
        names = [one.name for one in self.stages]
        self.log = (
            Log(folder, order=names, stage=stage, step=step, tensorboard=self.trainer.tensorboard)
            if self.main
            else None
        )
        self.progress = Progress(self.stages, shown=self.main)
        with torch.random.fork_rng(), self.progress:
            self.progress.say(*(f"left out: {reason}" for reason in self.images.left_out))
            for number in range(stage, len(self.stages)):
                self._stage(number, state if number == stage else None)
        if self.main and state is not None and stage == len(self.stages):
            self.progress.say("all stages are done")
        return self.net

    def _stage(self, number: int, state: State | None) -> None:
        """Train one stage: the loop."""
        stage = self.stages[number]
        parameters = parameters_of(self.net, stage.parts, side=stage.crop)
        crops = self._crops(stage, number)
        with learning(self.net, parameters):
            learner = self._learner(stage, number, parameters, crops, state)
            steps = iter(self._batches(stage, crops, learner.step))
            saved = time.monotonic()
            while learner.step < stage.steps:
                loss = self._update(learner, list(islice(steps, stage.accumulate)))
                self.progress.update(number, learner.step, loss, images=self._crops_a_step(stage))
                if self._due(learner):
                    self._validate(learner, loss)
                if time.monotonic() - saved > self.trainer.save_seconds:
                    self._save(learner)
                    saved = time.monotonic()
            self._end(learner)
        self.accelerator.free_memory()

    def _update(self, learner: _Learner, parts: Sequence[Batch]) -> float:
        """One step of the optimiser; returns the loss."""
        stage, accelerator = learner.stage, self.accelerator
        torch.default_generator.manual_seed(hash((self.trainer.seed, learner.number, learner.step)))  # for dropout
        learner.schedule.step_update(learner.step)
        total = torch.zeros((), device=accelerator.device)
        for place, batch in enumerate(parts):
            moved = batch.to(accelerator.device)
            last = place == len(parts) - 1
            with nullcontext() if last else accelerator.no_sync(learner.lesson):
                loss = learner.lesson(moved.lr, moved.hr) / len(parts)
                accelerator.backward(loss)
            total += loss.detach()
        mean = float(accelerator.reduce(total, reduction="mean"))
        norm = float(accelerator.clip_grad_norm_(learner.parameters.values(), stage.clip))
        if not (math.isfinite(mean) and math.isfinite(norm)):
            raise self._not_finite(learner, mean, norm, parts)
        learner.optimiser.step()
        learner.optimiser.zero_grad()
        learner.step += 1
        learner.average.update(_held(learner.parameters), step=learner.step)
        return mean

    def _learner(
        self, stage: Stage, number: int, parameters: dict[str, nn.Parameter], crops: Crops, state: State | None
    ) -> _Learner:  # fmt: skip
        if state is None and stage.least_squares and isinstance(getattr(self.net.base, "coarse_tail", None), LightTail):
            fit_coarse_tail(self.net, crops.batch(0, range(64)).lr.to(self.accelerator.device).split(8))
        lesson = _Lesson(self.net, dict(stage.losses), self.teacher)
        optimiser = torch.optim.Adam(parameters.values(), lr=stage.lr, betas=(0.9, 0.99))
        lesson, optimiser = self.accelerator.prepare(lesson, optimiser)
        warmup = min(stage.warmup, max(stage.steps - 2, 0))
        schedule = CosineLRScheduler(
            optimiser, t_initial=max(math.ceil((stage.steps - warmup) / stage.cycles), 2), cycle_limit=stage.cycles,
            warmup_t=warmup, warmup_lr_init=stage.lr / max(warmup, 1), warmup_prefix=True, t_in_epochs=False,
        )  # fmt: skip
        average = ModelEmaV3(_held(parameters), decay=stage.ema, use_warmup=True, warmup_gamma=9.0, warmup_power=1.0)
        learner = _Learner(stage, number, parameters, lesson, optimiser, schedule, average)
        if state is not None and state.step:
            learner.step = state.step
            load_optimiser(optimiser.optimizer, under("optimiser", state.tensors))
            for name, value in under("average", state.tensors).items():
                average.module.get_parameter(name).data.copy_(value)
        return learner

    # ------------------------------------------------------------------------------------------------ data
    def _read(self, taught: bool) -> Images:
        smallest = max(stage.crop for stage in self.stages)
        net, data = self.net, self.trainer.data
        return read_images(
            data, scale=net.scale, channels=net.geometry.channels, smallest=smallest, taught=taught
        )  # fmt: skip

    def _crops(self, stage: Stage, number: int) -> Crops:
        trainer = self.trainer
        return Crops(
            self.images.pairs, scale=self.net.scale, crop=stage.crop, detail=trainer.data.detail,
            seed=(trainer.seed, number),
        )  # fmt: skip

    def _batches(self, stage: Stage, crops: Crops, first: int) -> Iterator[Batch]:
        accelerator = self.accelerator
        return iter(
            batches(
                crops, size=stage.batch, accumulate=stage.accumulate, steps=range(first, stage.steps),
                processes=accelerator.num_processes, rank=accelerator.process_index, workers=self.trainer.data.workers,
            )
        )  # fmt: skip

    def _crops_a_step(self, stage: Stage) -> int:
        return stage.batch * stage.accumulate * self.accelerator.num_processes

    def _make_teacher(self) -> MGANet | None:
        """A copy of the original, if a stage changes its weights."""
        for stage in self.stages:
            tail = coarse_tail(self.net, side=stage.crop)
            learned = parameters_of(self.net, stage.parts, side=stage.crop)
            if any(is_the_original(name, tail=tail) for name in learned):
                return copy.deepcopy(self.net).eval().requires_grad_(False)
        return None

    # ------------------------------------------------------------------------------------- what is kept
    def _prepare(self, folder: Path) -> State | None:
        """Make the folder, and load the state that lies in it into the network."""
        if self.main:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                for left_by_a_kill in folder.glob("**/.mga-*.part"):
                    left_by_a_kill.unlink()
            except OSError as error:
                raise CheckpointError(f"{folder} cannot be written ({error}); choose another output_dir") from error
        self.accelerator.wait_for_everyone()
        state = load_state(folder)
        if state is None:
            return None
        _check_same(state.facts["plan"], self._plan(), state.stage, folder)
        try:
            self.net.load_state_dict(under("net", state.tensors))
        except RuntimeError as error:
            raise CheckpointError(
                f"{folder} holds the training of another network; choose another output_dir, or delete it"
            ) from error
        self.best, self.seconds = state.facts["best"], state.facts["seconds"]
        return state

    def _plan(self) -> dict[str, Any]:
        """What must not change while a training goes on, as JSON gives it back."""
        trainer = self.trainer
        plan = {
            "seed": trainer.seed, "target": trainer.target, "processes": self.accelerator.num_processes,
            "detail": trainer.data.detail, "images": len(self.images.pairs),
            "stages": [asdict(stage) for stage in self.stages],
        }  # fmt: skip
        same: dict[str, Any] = json.loads(json.dumps(plan))
        return same

    def _save(self, learner: _Learner, *, ended: bool = False) -> None:
        if not self.main:
            return
        tensors = with_prefix("net", self.net.state_dict())
        if not ended:
            tensors |= with_prefix("average", dict(learner.average.module.named_parameters()))
            tensors |= with_prefix("optimiser", optimiser_tensors(learner.optimiser.optimizer))
        facts = {"best": self.best, "seconds": self.seconds + self.progress.seconds, "plan": self._plan()}
        where = (learner.number + 1, 0) if ended else (learner.number, learner.step)
        save_state(State(*where, tensors, facts), self.trainer.output_dir)

    def _end(self, learner: _Learner) -> None:
        """The next stage starts from the averaged weights."""
        _copy(learner.average.module, learner.parameters)
        self._save(learner, ended=True)
        self.accelerator.wait_for_everyone()

    # ------------------------------------------------------------------------------------- what is said
    def _due(self, learner: _Learner) -> bool:
        every = self.trainer.validation.every if self.trainer.validation is not None else 500
        return learner.step % every == 0 or learner.step == learner.stage.steps

    def _validate(self, learner: _Learner, loss: float) -> None:
        """Log where the training stands, with the averaged weights."""
        if self.log is not None:
            with _averaged(self.net, learner):
                figures = self._figures()
            done = sum(stage.steps for stage in self.stages[: learner.number]) + learner.step
            row = {
                "stage": learner.stage.name, "step": learner.step, "total_steps": done, "loss": round(loss, 6),
                "lr": float(f"{learner.optimiser.param_groups[0]['lr']:.4g}"),
                "seconds": round(self.seconds + self.progress.seconds, 1), **figures,
            }  # fmt: skip
            self.log.add(row)
            self.progress.figures(learner.number, row)
        self.accelerator.wait_for_everyone()

    def _figures(self) -> dict[str, float]:
        """Validate and keep the network as it is."""
        folder = self.trainer.output_dir
        self.net.save_pretrained(folder / "last")
        if self.validator is None:
            return {}
        figures = self.validator(self.net)
        if (figure := figures[self.validator.columns[-1]]) > self.best:
            self.best = figure
            self.net.save_pretrained(folder / "best")
        return figures

    def _not_finite(self, learner: _Learner, loss: float, norm: float, parts: Sequence[Batch]) -> TrainingError:
        names = sorted({name for batch in parts for name in batch.names})
        kept = self.trainer.output_dir
        return TrainingError(
            f"stage {learner.stage.name!r}, step {learner.step}: the loss is {loss}, the norm of its gradient {norm}; "
            f"expected finite numbers. The crops are from {', '.join(names)}. The last good state is kept in {kept}: "
            "lower the stage's lr, or look at these images"
        )


def _check_same(old: dict[str, Any], new: dict[str, Any], stage: int, folder: Path) -> None:
    """Stages that have not begun may change."""
    begun = [{**plan, "stages": plan["stages"][: stage + 1]} for plan in (old, new)]
    for name in old:
        if begun[0][name] != begun[1].get(name):
            raise CheckpointError(
                f"{folder} holds a training with other {name} ({begun[0][name]}, now {begun[1].get(name)}); give what "
                "it was started with, or choose another output_dir"
            )


def _held(parameters: dict[str, nn.Parameter]) -> nn.ParameterList:
    return nn.ParameterList(parameters.values())


@torch.no_grad()
def _copy(source: nn.Module, parameters: dict[str, nn.Parameter]) -> None:
    for value, parameter in zip(source.parameters(), parameters.values(), strict=True):
        parameter.copy_(value)


@contextmanager
def _averaged(net: MGANet, learner: _Learner) -> Iterator[None]:
    """With the averaged weights in place of the current ones, in eval mode."""
    current = copy.deepcopy(_held(learner.parameters))
    modes = [(module, module.training) for module in net.modules()]
    try:
        _copy(learner.average.module, learner.parameters)
        net.eval()
        yield
    finally:
        _copy(current, learner.parameters)
        for module, mode in modes:
            module.training = mode
