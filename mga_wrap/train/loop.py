"""The training loop: stage by stage, resumable after a kill, with a log as CSV."""

from __future__ import annotations

import copy
import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mga_wrap.errors import CheckpointError, MGAError
from mga_wrap.files import whole_file
from mga_wrap.nets.mga import MGANet
from mga_wrap.train.data import Crops
from mga_wrap.train.stages import Stage

SAVE_SECONDS = 60.0
"""How often the state is written; at most this much work is lost by a kill."""
LOG_STEPS = 500


@dataclass
class Run:
    """A training under way.

    Attributes:
        net: what is trained, in place.
        stages: one after the other.
        data: makes the crops of a stage, with the stage's crop size.
        output_dir: holds `state.pt` (to resume from) and `log.csv`.
        validate: called with the averaged network every now and then; its figures go into the log.
    """

    net: MGANet
    stages: tuple[Stage, ...]
    data: Callable[[int], Crops]
    output_dir: Path
    validate: Callable[[MGANet], dict[str, float]]

    def fit(self) -> MGANet:
        """Train through all stages, from the last saved state if there is one; returns the averaged network."""
        self.output_dir.mkdir(parents=True, exist_ok=True)
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        averaged = copy.deepcopy(self.net)
        state = _load(self.output_dir / "state.pt")
        if state is not None:
            try:
                self.net.load_state_dict(state["net"])
                averaged.load_state_dict(state["averaged"])
            except (KeyError, RuntimeError, TypeError) as error:
                raise CheckpointError(
                    f"{self.output_dir / 'state.pt'} is of another network; choose another folder or delete it"
                ) from error
        first = state["stage"] if state else 0
        for number in range(first, len(self.stages)):
            resumed = state if state and number == first else None
            self._stage(number, averaged, resumed)
            self.net.load_state_dict(averaged.state_dict())  # the next stage starts from the averaged weights
            self._save(number + 1, 0, averaged, None)
        return averaged

    def _stage(self, number: int, averaged: MGANet, state: dict[str, Any] | None) -> None:
        stage = self.stages[number]
        weights = trainable(self.net, stage.parts)
        optimiser = torch.optim.Adam(weights, lr=stage.lr, betas=(0.9, 0.99))
        step = 0
        if state is not None and state["optimiser"] is not None:
            optimiser.load_state_dict(state["optimiser"])
            step = state["step"]
        crops = self.data(stage.crop)
        saved = time.monotonic()
        while step < stage.steps:
            for group in optimiser.param_groups:
                group["lr"] = stage.lr * schedule(step, stage)
            lr, hr = crops.batch(step, stage.batch)
            loss = stage.loss(self.net, lr, hr)
            if not torch.isfinite(loss):
                raise MGAError(f"the loss of stage {stage.name!r} is {loss.item()} at step {step}; lower its lr")
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(weights, stage.clip)
            optimiser.step()
            step += 1
            average(averaged, self.net, min(stage.ema, step / (step + 9)))
            if step % LOG_STEPS == 0 or step == stage.steps:
                self._log(stage, step, loss.item(), averaged)
            if time.monotonic() - saved > SAVE_SECONDS:
                self._save(number, step, averaged, optimiser)
                saved = time.monotonic()

    def _save(self, stage: int, step: int, averaged: MGANet, optimiser: torch.optim.Optimizer | None) -> None:
        state = {
            "stage": stage,
            "step": step,
            "net": self.net.state_dict(),
            "averaged": averaged.state_dict(),
            "optimiser": optimiser.state_dict() if optimiser else None,
        }
        with whole_file(self.output_dir / "state.pt") as part:
            torch.save(state, part)

    def _log(self, stage: Stage, step: int, loss: float, averaged: MGANet) -> None:
        averaged.eval()
        row = {"stage": stage.name, "step": step, "loss": round(loss, 5), **self.validate(averaged)}
        path = self.output_dir / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        print(row, flush=True)


def trainable(net: nn.Module, parts: tuple[str, ...]) -> list[nn.Parameter]:
    """Let the named children learn and freeze all others; returns the parameters that learn."""
    children = dict(net.named_children())
    if unknown := set(parts) - set(children):
        raise MGAError(f"got the parts {sorted(unknown)}; the network has {sorted(children)}")
    for name, child in children.items():
        child.requires_grad_(name in parts)
    return [parameter for name in parts for parameter in children[name].parameters()]


def schedule(step: int, stage: Stage) -> float:
    """Linear warm-up, then a cosine to 0, as a factor of the stage's lr."""
    if step < stage.warmup:
        return (step + 1) / stage.warmup
    return 0.5 * (1 + math.cos(math.pi * (step - stage.warmup) / max(stage.steps - stage.warmup, 1)))


@torch.no_grad()
def average(averaged: nn.Module, net: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the current ones."""
    for old, new in zip(averaged.parameters(), net.parameters(), strict=True):
        old.lerp_(new, 1 - decay)
    for kept, current in zip(averaged.buffers(), net.buffers(), strict=True):
        kept.copy_(current)  # statistics of a normalisation, which are averages themselves


def _load(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        return torch.load(path, weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path} cannot be read ({type(error).__name__}); delete it to start again") from error
