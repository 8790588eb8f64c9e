"""The trainer: stage by stage, on accelerate, and nothing lost at a kill."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import nn

from mga_wrap.errors import ArgumentError, CheckpointError, ImageError
from mga_wrap.nets.light import LightTail
from mga_wrap.nets.mga import MGANet
from mga_wrap.train.crops import Batch, Crops, batches
from mga_wrap.train.data import Data, Pair, read_images
from mga_wrap.train.learner import Learner
from mga_wrap.train.least_squares import fit_coarse_tail
from mga_wrap.train.log import Log
from mga_wrap.train.parts import coarse_tail, is_the_original, learning, parameters_of
from mga_wrap.train.progress import Progress
from mga_wrap.train.stages import FINETUNE_STAGES, PAPER_STAGES, Stage
from mga_wrap.train.state import State, load_state, save_state, under, with_prefix
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
            truth is needed. Style "pretrained" only.
        validation: a folder of HR images, or `Validation` to say more; None: no validation, and `best/` is not written.
        seed: of all that is drawn.
        device: "auto" or "cpu".
        precision: "no" or "bf16"; None: what `accelerate launch` says.
        tensorboard: write the log for TensorBoard, too.
        save_seconds: time between two states; at most so much work is lost by a kill.

    Raises:
        ArgumentError: an argument is out of its range, or a stage names a part that the network does not have.
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
        if not isinstance(net, MGANet):
            raise ArgumentError(f"got a {type(net).__name__}; expected an accelerated network: mga.accelerate(model)")
        if other := {parameter.dtype for parameter in net.parameters()} - {torch.float32}:
            raise ArgumentError(f"got weights of {other.pop()}; expected float32: train net.float()")
        _expect("target", target, ("hr", "original"))
        _expect("device", device, ("auto", "cpu"))
        _expect("precision", precision, ("no", "bf16", None))
        if not save_seconds >= 0:
            raise ArgumentError(f"got save_seconds={save_seconds}; expected 0 or more")
        continues = net.config.style == "pretrained"
        if target == "original" and not continues:
            raise ArgumentError("got target='original' for a network in style 'paper'; expected style 'pretrained'")
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
            ImageError: there are no images, or none large enough.
            ArgumentError: this process has trained on another device or with another precision.
            TrainingError: a loss is not finite; the last good state is kept.
            CheckpointError: the folder cannot be written, or holds the state of another training.
        """
        try:
            return _Fit(self).run()
        finally:  # other kernels round in another way: k="dense" has to be the original's output again
            self.net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def _check_stages(self) -> None:
        names = [stage.name for stage in self.stages]
        if not names or len(set(names)) < len(names):
            raise ArgumentError(f"got stages named {names}; expected at least one, each with a name of its own")
        for stage in self.stages:
            parameters_of(self.net, stage.parts, side=stage.crop)


def _expect(name: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise ArgumentError(f"got {name}={value!r}; expected one of {', '.join(map(repr, known))}")


FIT_CROPS = 64
"""Crops that a light coarse tail starts from by least squares."""


class _Fit:
    """One call of `MGATrainer.fit`."""

    def __init__(self, trainer: MGATrainer) -> None:
        self.trainer, self.net, self.stages = trainer, trainer.net, trainer.stages
        self.folder = trainer.output_dir
        self.accelerator = _accelerator(trainer)
        self.main = self.accelerator.is_main_process
        self.net.to(self.accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        taught = trainer.target == "original"
        self.images = read_images(
            trainer.data,
            scale=self.net.scale,
            channels=self.net.geometry.channels,
            taught=taught,
            smallest=min(stage.crop for stage in self.stages),
        )
        for stage in self.stages:
            self._pairs(stage)
        self.teacher = self._make_teacher() if taught else None
        self.validator = None
        if trainer.validation is not None and self.main:
            self.validator = Validator(self.net, trainer.validation, taught=taught)
        self.best, self.seconds = -math.inf, 0.0

    def run(self) -> MGANet:
        state = self._resume()
        stage, step = (state.stage, state.step) if state is not None else (0, 0)
        self.log = None
        if self.main:
            names = [one.name for one in self.stages]
            self.log = Log(self.folder, order=names, stage=stage, step=step, tensorboard=self.trainer.tensorboard)
        self.progress = Progress(self.stages, shown=self.main)
        with torch.random.fork_rng(), torch.inference_mode(False), torch.enable_grad(), self.progress:
            self.progress.say(*(f"left out: {reason}" for reason in self.images.left_out))
            if stage == len(self.stages):
                self.progress.say(f"{self.folder}: all stages are done; choose another output_dir to train anew")
            for number in range(stage, len(self.stages)):
                self._stage(number, state if number == stage else None)
        return self.net

    def _stage(self, number: int, state: State | None) -> None:
        """Train one stage: the loop."""
        stage = self.stages[number]
        parameters = parameters_of(self.net, stage.parts, side=stage.crop)
        crops = self._crops(stage, number)
        with learning(self.net, parameters):
            learner = self._learner(number, parameters, crops, state)
            feed = self._batches(stage, crops, learner.step)
            saved = time.monotonic()
            while learner.step < stage.steps:
                loss = learner.update([next(feed) for _ in range(stage.accumulate)])
                self.progress.update(number, learner.step, loss, images=self._crops_a_step(stage))
                if learner.step % self._every == 0 or learner.step == stage.steps:
                    self._validate(number, learner, loss)
                if time.monotonic() - saved >= self.trainer.save_seconds:
                    self._save((number, learner.step), learner)
                    saved = time.monotonic()
            learner.keep_average()  # the next stage starts from it
            self._save((number + 1, 0))
        self.accelerator.free_memory()

    def _learner(
        self, number: int, parameters: Mapping[str, nn.Parameter], crops: Crops, state: State | None
    ) -> Learner:
        stage = self.stages[number]
        begun = state is not None and state.step > 0
        if stage.least_squares and not begun and isinstance(getattr(self.net.base, "coarse_tail", None), LightTail):
            fit_coarse_tail(self.net, crops.batch(0, range(FIT_CROPS)).lr.to(self.accelerator.device).split(8))
        learner = Learner(
            self.net,
            stage,
            seed=(self.trainer.seed, number),
            parameters=parameters,
            teacher=self.teacher,
            accelerator=self.accelerator,
        )
        if state is not None and begun:
            learner.load(state.tensors, step=state.step)
        return learner

    def _make_teacher(self) -> MGANet | None:
        """A copy of the original, if a stage changes its weights."""
        for stage in self.stages:
            tail = coarse_tail(self.net, side=stage.crop)
            learned = parameters_of(self.net, stage.parts, side=stage.crop)
            if any(is_the_original(name, tail=tail) for name in learned):
                return copy.deepcopy(self.net).eval().requires_grad_(False)
        return None

    def _crops(self, stage: Stage, number: int) -> Crops:
        return Crops(
            self._pairs(stage),
            scale=self.net.scale,
            crop=stage.crop,
            detail=self.trainer.data.detail,
            seed=(self.trainer.seed, number),
        )

    def _pairs(self, stage: Stage) -> list[Pair]:
        """The images that a crop of the stage fits into."""
        pairs = [pair for pair in self.images.pairs if min(pair.lr.shape[:2]) >= stage.crop]
        if not pairs:
            raise ImageError(
                f"stage {stage.name!r}: no image is as large as a crop of {stage.crop} x {stage.crop} lr pixels; give "
                "larger images or a smaller crop"
            )
        return pairs

    def _batches(self, stage: Stage, crops: Crops, first: int) -> Iterator[Batch]:
        loader = batches(
            crops,
            size=stage.batch,
            accumulate=stage.accumulate,
            steps=range(first, stage.steps),
            processes=self.accelerator.num_processes,
            rank=self.accelerator.process_index,
            workers=self.trainer.data.workers,
        )
        return iter(loader)

    def _crops_a_step(self, stage: Stage) -> int:
        return stage.batch * stage.accumulate * self.accelerator.num_processes

    # ------------------------------------------------------------------------------------------- what is kept
    def _resume(self) -> State | None:
        """Make the folder, and load the state that lies in it into the network."""
        if self.main:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                for left_by_a_kill in self.folder.glob("**/.mga-*.part"):
                    left_by_a_kill.unlink()
            except OSError as error:
                raise CheckpointError(
                    f"{self.folder} cannot be written ({error}); choose another output_dir"
                ) from error
        self.accelerator.wait_for_everyone()
        state = load_state(self.folder)
        if state is None:
            return None
        _check_same(state.facts["plan"], self._plan(), state.stage + (state.step > 0), self.folder)
        try:
            self.net.load_state_dict(under("net", state.tensors))
        except RuntimeError as error:
            raise CheckpointError(
                f"{self.folder} holds the training of another network; choose another output_dir, or delete it"
            ) from error
        self.best, self.seconds = state.facts["best"], state.facts["seconds"]
        return state

    def _plan(self) -> dict[str, Any]:
        """What must not change while a training goes on, as JSON gives it back."""
        plan = {
            "seed": self.trainer.seed,
            "target": self.trainer.target,
            "processes": self.accelerator.num_processes,
            "detail": self.trainer.data.detail,
            "images": len(self.images.pairs),
            "stages": [asdict(stage) for stage in self.stages],
        }
        same: dict[str, Any] = json.loads(json.dumps(plan))
        return same

    def _save(self, where: tuple[int, int], learner: Learner | None = None) -> None:
        """Write the state at (stage, step); a stage that has not begun has no learner."""
        if not self.main:
            return
        tensors = with_prefix("net", self.net.state_dict())
        if learner is not None:
            tensors |= learner.tensors()
        facts = {"best": self.best, "seconds": self.seconds + self.progress.seconds, "plan": self._plan()}
        save_state(State(*where, tensors, facts), self.folder)

    # ------------------------------------------------------------------------------------------- what is said
    @property
    def _every(self) -> int:
        validation = self.trainer.validation
        return Validation.every if validation is None else validation.every

    def _validate(self, number: int, learner: Learner, loss: float) -> None:
        """Keep the averaged weights and log where the training stands."""
        if self.log is not None:
            with learner.averaged():
                figures = self._figures()
            row = {
                "stage": learner.stage.name,
                "step": learner.step,
                "total_steps": sum(stage.steps for stage in self.stages[:number]) + learner.step,
                "loss": round(loss, 6),
                "rate": float(f"{learner.rate:.4g}"),
                "seconds": round(self.seconds + self.progress.seconds, 1),
                **figures,
            }
            self.log.add(row)
            self.progress.row(row)
        self.accelerator.wait_for_everyone()

    def _figures(self) -> dict[str, float]:
        """PSNR of the network as it is, which becomes the last one and perhaps the best."""
        self.net.save_pretrained(self.folder / "last")
        if self.validator is None:
            return {}
        figures = self.validator(self.net)
        if (figure := figures[self.validator.columns[-1]]) > self.best:
            self.best = figure
            self.net.save_pretrained(self.folder / "best")
        return figures


def _accelerator(trainer: MGATrainer) -> Accelerator:
    find_unused = DistributedDataParallelKwargs(find_unused_parameters=True)  # a loss need not reach every part
    try:
        return Accelerator(
            cpu=trainer.device == "cpu", mixed_precision=trainer.precision, kwargs_handlers=[find_unused]
        )
    except ValueError as error:
        raise ArgumentError(
            f"got device={trainer.device!r}, precision={trainer.precision!r}, but this process has already trained "
            "with others; start a new process"
        ) from error


def _check_same(old: dict[str, Any], new: dict[str, Any], begun: int, folder: Path) -> None:
    """A training goes on with what it was started with; stages that have not begun may change."""
    differing = [f"{name} {old[name]}, now {new[name]}" for name in new if name != "stages" and old[name] != new[name]]
    for number, stage in enumerate(old["stages"][:begun]):
        now = new["stages"][number] if number < len(new["stages"]) else dict.fromkeys(stage)
        changes = [f"{name} {stage[name]!r}, now {now[name]!r}" for name in now if stage[name] != now[name]]
        differing += [f"stage {stage['name']!r}: {change}" for change in changes]
    if differing:
        raise CheckpointError(
            f"{folder} holds another training ({'; '.join(differing)}); give what it was started with, or choose "
            "another output_dir"
        )
