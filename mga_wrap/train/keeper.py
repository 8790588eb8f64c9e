"""What a training leaves in its folder: state, log, last and best weights; and how it goes on from them."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from mga_wrap.errors import CheckpointError
from mga_wrap.nets.mga import MGANet
from mga_wrap.train.best import Best
from mga_wrap.train.learner import Learner
from mga_wrap.train.log import Log
from mga_wrap.train.plan import another_original, differences
from mga_wrap.train.progress import Progress
from mga_wrap.train.stages import Stage
from mga_wrap.train.state import STATE, State, load_state, save_state, under, with_prefix
from mga_wrap.train.validate import Validation, Validator

COLUMNS = ("stage", "step", "total_steps", "loss", "rate", "seconds")
"""Of the log; those of the validation follow."""


class Keeper:
    """Keeps a training in its folder. Every process of it has one; that of the main process alone writes.

    Args:
        folder: of this training alone.
        net: learns.
        stages: of the training.
        plan: see `plan.plan_of`.
        accelerator: knows the other processes.
        validator: None: no figures, and no best weights.
        every: steps between two rows of the log.
        save_seconds: between two states.
        tensorboard: also write the log for TensorBoard.
    """

    def __init__(
        self,
        folder: Path,
        *,
        net: MGANet,
        stages: Sequence[Stage],
        plan: dict[str, Any],
        accelerator: Accelerator,
        validator: Validator | None,
        every: int = Validation.every,
        save_seconds: float = 60.0,
        tensorboard: bool = False,
    ) -> None:
        self.folder, self.net, self.stages, self.plan = folder, net, stages, plan
        self.accelerator, self.main = accelerator, accelerator.is_main_process
        self.validator, self.every, self.save_seconds, self.tensorboard = validator, every, save_seconds, tensorboard
        self.progress = Progress(stages, shown=self.main)
        self._best, self._earlier, self._saved = -math.inf, 0.0, time.monotonic()
        self._log: Log | None = None

    def resume(self) -> State:
        """The state from which the training goes on, loaded into the net; of the first step if there is none.

        Raises:
            CheckpointError: the folder holds another training, or a file in it is broken.
        """
        if self.main:
            _clear(self.folder)
        self.accelerator.wait_for_everyone()
        state = load_state(self.folder)
        if state is None:
            state = State(0, 0, {}, self.plan)
        else:
            self._check(state)
            self.net.load_state_dict(under("net", state.tensors))
            if state.plan.get("original"):  # a net that has learned since is no original
                self.plan["original"] = state.plan["original"]
            self._best, self._earlier = state.best, state.seconds
        if self.main:
            self._log = Log(
                self.folder,
                columns=[*COLUMNS, *(self.validator.columns if self.validator else ())],
                order=[stage.name for stage in self.stages],
                stage=state.stage,
                step=state.step,
                tensorboard=self.tensorboard,
            )
        return state

    def _check(self, state: State) -> None:
        """Refuse a state that this training would not have come to."""
        begun = state.stage + (state.step > 0)
        try:
            found = differences(state.plan, self.plan, begun=begun)
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # a header that lies
            raise self._broken("its plan is none") from error
        weights, own = under("net", state.tensors), self.net.state_dict()
        if {name: x.shape for name, x in weights.items()} != {name: x.shape for name, x in own.items()}:
            found.append("weights of other names or shapes: of another network, or cut elsewhere")
        if not found and (name := another_original(self.net, weights, begun=self.stages[:begun])):
            found = [f"the weights of the original network are others: {name}"]
        if found:
            raise CheckpointError(
                f"{self.folder} holds another training ({'; '.join(found)}); give what it was started with, or choose "
                "another output_dir"
            )
        if state.step > (self.stages[state.stage].steps if state.stage < len(self.stages) else 0):
            raise self._broken(f"its stage has no step {state.step}")

    def _broken(self, reason: str) -> CheckpointError:
        return CheckpointError(f"{self.folder / STATE} cannot be gone on with: {reason}; delete it to start again")

    def save(self, number: int, *, step: int, learner: Learner | None = None) -> None:
        """Write the state at (stage, step); a stage that has not begun has no learner."""
        self._saved = time.monotonic()
        if self.main:
            tensors = with_prefix("net", self.net.state_dict()) | ({} if learner is None else learner.tensors())
            save_state(State(number, step, tensors, self.plan, self._best, self._seconds), self.folder)

    @property
    def save_is_due(self) -> bool:
        """Whether the last state is older than it may be."""
        return time.monotonic() - self._saved >= self.save_seconds

    def start(self, best: Best) -> None:
        """Judge the net as it is before the first step of a stage: it may be the best."""
        self._perhaps_best(best.look(0))

    def judge(self, number: int, learner: Learner, *, loss: float) -> None:
        """Judge the averaged weights, keep them as the last and perhaps the best, and log where the training is."""
        self.net.fitted = True
        with learner.averaged():
            figures = learner.best.look(learner.step)
            if self.main:
                self.net.save_pretrained(self.folder / "last")
            self._perhaps_best(figures)
        if self._log is not None:
            row = {
                "stage": learner.stage.name,
                "step": learner.step,
                "total_steps": sum(stage.steps for stage in self.stages[:number]) + learner.step,
                "loss": round(loss, 6),
                "rate": float(f"{learner.rate:.4g}"),
                "seconds": round(self._seconds, 1),
                **figures,
            }
            self._log.add(row)
            self.progress.row(row)
        self.accelerator.wait_for_everyone()

    @property
    def _seconds(self) -> float:
        """That the training has taken, over all its runs."""
        return self._earlier + self.progress.seconds

    def finish(self, number: int, best: Best) -> None:
        """Keep what a stage has ended with: the net, with what was done to it after its last step."""
        if self.main:
            self.net.save_pretrained(self.folder / "last")
            if self.validator is not None and best.figure == self._best:
                self.net.save_pretrained(self.folder / "best")
        self.progress.say(f"{self.stages[number].name}: ends with the weights of step {best.step}, the best")
        self.save(number + 1, step=0)
        self.accelerator.wait_for_everyone()

    def _perhaps_best(self, figures: dict[str, float]) -> None:
        if figures and (figure := list(figures.values())[-1]) > self._best:
            self._best = figure
            self.net.save_pretrained(self.folder / "best")


def _clear(folder: Path) -> None:
    """Take away what a kill has left half written."""
    try:
        for part in folder.glob("**/.mga-*.part"):
            part.unlink()
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written ({error}); choose another output_dir") from error
