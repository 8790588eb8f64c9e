"""The state of a training: everything that is needed to go on bit for bit, in one file that is whole or not there."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mga_wrap.errors import CheckpointError, one_line
from mga_wrap.files import whole_file

STATE = "state.safetensors"
FACTS = "facts"
"""The entry of the file's header that holds all that is no tensor, as JSON."""


@dataclass
class State:
    """Where a training stands.

    Attributes:
        stage: number of the stage, from 0; the number of stages when all are done.
        step: updates done in it.
        tensors: by name: `net.*` the weights, `average.*` and `optimiser.*` those of the stage.
        plan: what must not change when it goes on, see `plan.plan_of`.
        best: the highest figure of a validation.
        seconds: that the training has taken.
    """

    stage: int
    step: int
    tensors: dict[str, Tensor]
    plan: dict[str, Any]
    best: float = -math.inf
    seconds: float = 0.0


def save_state(state: State, folder: Path) -> None:
    """Write the state into a folder, in place of the one before it.

    Raises:
        CheckpointError: it cannot be written; the state before it is still there.
    """
    path = folder / STATE
    facts = json.dumps({field.name: getattr(state, field.name) for field in fields(state) if field.name != "tensors"})
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.tensors.items()}
    try:
        with whole_file(path) as part, part.open("xb") as handle:
            handle.write(save(tensors, metadata={FACTS: facts}))
            handle.flush()
            os.fsync(handle.fileno())  # the name must not appear before the content is on the disk
    except (OSError, SafetensorError) as error:
        kept = "the last complete state is still there" if path.exists() else "there was none before"
        raise CheckpointError(
            f"{path} cannot be written ({error}); {kept}: make room or make the folder writable, and start again"
        ) from error


def load_state(folder: Path) -> State | None:
    """The state in a folder, or None if there is none.

    Raises:
        CheckpointError: it cannot be read.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = _facts(json.loads(file.metadata()[FACTS]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - a file is no dict
        return State(tensors=tensors, **facts)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} cannot be read ({type(error).__name__}: {one_line(error)}); delete it to start again"
        ) from error


def _facts(header: Any) -> dict[str, Any]:
    """What the header says, if it can be true."""
    stage, step, plan = header["stage"], header["step"], header["plan"]
    stages = plan["stages"]
    if not (isinstance(stages, list) and all(isinstance(one, dict) and "name" in one for one in stages)):
        raise ValueError("its plan has no stages")
    if not (type(stage) is type(step) is int and 0 <= stage <= len(stages) and step >= 0):
        raise ValueError(f"step {step!r} of stage {stage!r} is none of its {len(stages)} stages")
    best, seconds = float(header["best"]), float(header["seconds"])
    return {"stage": stage, "step": step, "plan": plan, "best": best, "seconds": seconds}


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix.`, without it."""
    return {name.removeprefix(f"{prefix}."): x for name, x in tensors.items() if name.startswith(f"{prefix}.")}


def with_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `under`."""
    return {f"{prefix}.{name}": x for name, x in tensors.items()}


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What an optimiser has gathered, as `number of the parameter.name`."""
    state = optimiser.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value)  # Muon notes by a bool what it treats as a matrix
        for number, of_one in state.items()
        for name, value in of_one.items()
    }


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Give it back: the inverse of `optimiser_tensors`, each tensor in its parameter's memory format.

    Raises:
        ValueError: they are not of these parameters.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor | bool]] = {}
    for name, value in tensors.items():
        number, _, key = name.partition(".")
        if not number.isdecimal() or int(number) >= len(parameters):
            raise ValueError(f"{name!r} belongs to none of {len(parameters)} parameters")
        parameter = parameters[int(number)]
        if value.shape not in ((), parameter.shape):  # Adam counts the steps of each parameter
            raise ValueError(f"{name!r} has the shape {tuple(value.shape)}, its parameter {tuple(parameter.shape)}")
        state.setdefault(int(number), {})[key] = bool(value) if _is_bool(value) else _like(parameter, value)
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _is_bool(value: Tensor) -> bool:
    return value.dtype == torch.bool and value.shape == ()


def _like(parameter: nn.Parameter, value: Tensor) -> Tensor:
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
