"""The trainer: stage by stage, on accelerate, and nothing lost at a kill."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from mga_wrap.errors import ArgumentError, TrainingError
from mga_wrap.fitting.least_squares import fit_coarse_tail
from mga_wrap.fitting.samples import Sample
from mga_wrap.nets.light import LightTail
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.score import ScorePredictor
from mga_wrap.processor import warn_of_emulation
from mga_wrap.train.best import Best, Judge
from mga_wrap.train.crops import Batch, Crops, check_seed
from mga_wrap.train.data import Data, fingerprints
from mga_wrap.train.feed import Feed
from mga_wrap.train.keeper import Keeper
from mga_wrap.train.learner import Learner, Lesson
from mga_wrap.train.lock import alone_in
from mga_wrap.train.losses import SCORE
from mga_wrap.train.originals import FOLDER, Originals
from mga_wrap.train.parts import copy_of_the_original, counts_area, learning, on_purpose, parameters_of, teaches_score
from mga_wrap.train.plan import plan_of
from mga_wrap.train.score import calibrate_score, samples_of, start_score
from mga_wrap.train.stages import FINETUNE_STAGES, PAPER_STAGES, Stage
from mga_wrap.train.state import State
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
        cache_bytes: with target="original", most bytes of its outputs that lie in `output_dir/originals` during a
            stage; they may be deleted at any time. 0: none, and each is computed again.

    Example:
        ```python
        net = mga.accelerate(model, coarse_tail="light")
        mga.MGATrainer(net, "photos", output_dir="runs/mine", target="original").fit()
        net = mga.from_pretrained("runs/mine/last", model=model)
        ```

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
        cache_bytes: int = 2 * 2**30,
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
        if isinstance(cache_bytes, bool) or not isinstance(cache_bytes, int) or cache_bytes < 0:
            raise ArgumentError(f"got cache_bytes={cache_bytes!r}; expected a whole number of bytes, 0 or more")
        continues = net.config.style == "pretrained"
        if target == "original" and not continues:
            raise ArgumentError("got target='original' for a network in style 'paper'; expected style 'pretrained'")
        self.net, self.target, self.seed = net, target, check_seed(seed)
        self.data = data if isinstance(data, Data) else Data(hr=Path(data))
        self.validation = validation if isinstance(validation, Validation | None) else Validation(Path(validation))
        self.stages = tuple(stages if stages is not None else FINETUNE_STAGES if continues else PAPER_STAGES)
        self.output_dir = Path(output_dir)
        self.device, self.precision, self.tensorboard = device, precision, tensorboard
        self.save_seconds, self.cache_bytes = save_seconds, cache_bytes
        self._check_stages()

    def fit(self) -> MGANet:
        """Train through all stages, from the saved state if there is one.

        Returns:
            The net, with the averaged weights.

        Raises:
            ImageError: there are no images, or none large enough.
            ArgumentError: this process has trained on another device or with another precision.
            TrainingError: a loss is not finite; the last good state is kept.
            CheckpointError: the folder cannot be written, holds the state of another training, or another one that is
                running.
        """
        accelerator = _accelerator(self)
        warn_of_emulation(accelerator.mixed_precision, accelerator.device)
        try:  # of the processes that share the folder one holds it
            with alone_in(self.output_dir) if accelerator.is_main_process else nullcontext(), on_purpose(self.net):
                return _Fit(self, accelerator).run()
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
"""Crops from which a light coarse tail starts by least squares, and a score by their statistics."""


class _Fit:
    """One call of `MGATrainer.fit`."""

    def __init__(self, trainer: MGATrainer, accelerator: Accelerator) -> None:
        self.net, self.stages, self.seed = trainer.net, trainer.stages, trainer.seed
        self.accelerator = accelerator
        self.net.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        counts_area(self.net, self.stages)
        taught = trainer.target == "original"
        self.cache_bytes = trainer.cache_bytes
        self.taught, self.validated = taught, trainer.validation is not None
        self.feed = Feed(trainer.data, net=self.net, stages=self.stages, taught=taught, seed=self.seed)
        self.teacher = copy_of_the_original(self.net, self.stages) if taught else None
        validator, facts = None, _facts(trainer, self.feed, accelerator)
        if accelerator.is_main_process:
            if trainer.validation is not None:
                validator = Validator(self.net, trainer.validation, taught=taught)
            facts["validation"] = None if validator is None else validator.facts
        self.keeper = Keeper(
            trainer.output_dir,
            net=self.net,
            stages=self.stages,
            plan=plan_of(self.net, stages=self.stages, teacher=self.teacher, facts=facts),
            accelerator=accelerator,
            validator=validator,
            every=(trainer.validation or Validation).every,
            save_seconds=trainer.save_seconds,
            tensorboard=trainer.tensorboard,
        )

    def run(self) -> MGANet:
        state, progress = self.keeper.resume(), self.keeper.progress
        with torch.random.fork_rng(), torch.inference_mode(False), torch.enable_grad(), progress:
            progress.say(*(f"left out: {reason}" for reason in self.feed.images.left_out))
            if state.stage == len(self.stages):
                progress.say(f"{self.keeper.folder}: all stages are done; choose another output_dir to train anew")
            for number in range(state.stage, len(self.stages)):
                self._stage(number, state if number == state.stage and state.step else None)
        self.net.fitted = True
        return self.net

    def _stage(self, number: int, begun: State | None) -> None:
        """Train one stage, from the state in it if it has begun."""
        stage, accelerator = self.stages[number], self.accelerator
        processes, rank = accelerator.num_processes, accelerator.process_index
        parameters = parameters_of(self.net, stage.parts, side=stage.crop)
        crops = self.feed.crops(number, processes=processes)
        with learning(self.net, parameters):
            lesson = Lesson(self.net, stage.losses, self.teacher, taught=self.taught)
            held = crops.held.to(accelerator.device)
            judge = Judge(
                lesson,
                held=held.split(stage.batch),
                stage=stage,
                validator=self.keeper.validator,
                accelerator=accelerator,
            )
            best = Best(self.net, parameters, judge=judge)
            if begun is None:
                self._start(stage, crops, lesson, best)
            learner = Learner(self.net, stage, parameters=parameters, lesson=lesson, best=best, accelerator=accelerator)
            if begun is not None:
                learner.load(begun.tensors, step=begun.step)
            batches = self.feed.batches(crops, number=number, first=learner.step, processes=processes, rank=rank)
            originals = self._originals(stage)
            if originals is not None and begun is None and accelerator.is_main_process:
                originals.remove()  # what a kill at the end of the stage before has left
            self._loop(number, learner, batches, originals)
            best.put_back()  # the next stage starts from it
            if teaches_score(self.net, stage) and not calibrate_score(self.net, self._samples(crops)):
                self.keeper.progress.say(
                    f"{stage.name}: k='auto' is not calibrated: there is no HR, or the score is no better than before"
                )
            self.keeper.finish(number, best)
            if originals is not None and accelerator.is_main_process:
                originals.remove()  # the next stage has other crops
        accelerator.free_memory()

    def _start(self, stage: Stage, crops: Crops, lesson: Lesson, best: Best) -> None:
        """Judge the net as it was given, and as what is new in it starts; the better is where the stage starts."""
        net, device = self.net, self.accelerator.device
        new_score = teaches_score(net, stage) and not cast(ScorePredictor, net.mask).fitted
        if self.validated or not new_score:  # before it is standardised its loss is in another unit
            self.keeper.start(best)
        if new_score:
            batches = [batch.to(device) for batch in crops.batch(0, range(FIT_CROPS)).split(stage.batch)]
            start_score(net, (lesson.outputs(one.lr, one.hr) for one in batches), self._samples(crops))
            self.keeper.start(best)
        if stage.least_squares and isinstance(getattr(net.base, "coarse_tail", None), LightTail):
            fit_coarse_tail(net, crops.batch(0, range(FIT_CROPS)).lr.to(device).split(8))
            self.keeper.start(best)
            best.put_back()

    def _originals(self, stage: Stage) -> Originals | None:
        """What the original makes of the crops; None if nothing of the stage asks for it."""
        asked = self.teacher is None or any(loss not in (SCORE, "mask_l1") for loss in stage.losses)
        if not (self.taught and asked):
            return None
        folder, limit = self.keeper.folder / FOLDER, self.cache_bytes // self.accelerator.num_processes
        return Originals(folder, original=self.teacher or self.net, limit=limit, side=stage.crop)

    def _samples(self, crops: Crops) -> list[Sample]:
        return samples_of(self.net, crops.held, crops.pairs, side=crops.crop, seed=self.seed)

    def _loop(self, number: int, learner: Learner, batches: Iterator[Batch], originals: Originals | None) -> None:
        """The loop of a stage: each step is forward, loss, backward, clip, step; then it is shown, judged and saved."""
        stage, accelerator, keeper = learner.stage, self.accelerator, self.keeper
        while learner.step < stage.steps:
            torch.manual_seed(_seed_of_step(self.seed, number, learner.step))  # a layer may draw (dropout)
            learner.schedule.step_update(learner.step)
            total = torch.zeros((), device=accelerator.device)
            names: set[str] = set()
            for left in reversed(range(stage.accumulate)):
                batch = next(batches).to(accelerator.device)
                names.update(batch.names)
                original = None if originals is None else originals(batch.lr)
                with accelerator.no_sync(learner.lesson) if left else nullcontext():  # processes share the last sum
                    loss = learner.lesson(batch.lr, batch.hr, original) / stage.accumulate
                    accelerator.backward(loss)
                total += loss.detach()
            mean = float(accelerator.reduce(total, reduction="mean"))
            norm = float(accelerator.clip_grad_norm_(learner.parameters, stage.clip))
            if not (math.isfinite(mean) and math.isfinite(norm)):  # the weights are still those of the step before
                raise _not_finite(learner, mean, norm, names)
            learner.optimiser.step()
            learner.optimiser.zero_grad()
            learner.step += 1
            learner.average.update(learner.parameters, step=learner.step)

            crops = stage.batch * stage.accumulate * accelerator.num_processes
            keeper.progress.update(number, learner.step, mean, images=crops)
            if learner.step % keeper.every == 0 or learner.step == stage.steps:
                keeper.judge(number, learner, loss=mean)
            if keeper.save_is_due:
                keeper.save(number, step=learner.step, learner=learner)


def _facts(trainer: MGATrainer, feed: Feed, accelerator: Accelerator) -> dict[str, object]:
    """What of a training its net and its stages do not say."""
    return {
        "seed": trainer.seed,
        "target": trainer.target,
        "processes": accelerator.num_processes,
        "precision": accelerator.mixed_precision,
        "detail": trainer.data.detail,
        "images": fingerprints(feed.images.pairs, taught=trainer.target == "original"),
    }


def _seed_of_step(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _not_finite(learner: Learner, loss: float, norm: float, names: set[str]) -> TrainingError:
    return TrainingError(
        f"stage {learner.stage.name!r}, step {learner.step}: the loss is {loss}, the norm of its gradient {norm}; "
        f"expected finite numbers. The crops are from {', '.join(sorted(names))}. The last state is kept: look at "
        "these images, or lower the stage's rate and start again in another output_dir"
    )


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
