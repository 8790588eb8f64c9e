"""What learns in a stage: parameters by the name of their part, all others frozen, and modules in the mode to match."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from mga_wrap.errors import ArgumentError, nearest
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.parts import coarse_tail
from mga_wrap.nets.score import ScorePredictor
from mga_wrap.train.losses import SCORE
from mga_wrap.train.stages import Stage

COARSE_TAIL = "coarse_tail"
PARTS = ("base", "mask", "refine", COARSE_TAIL)


def parameters_of(net: MGANet, parts: Iterable[str], *, side: int) -> dict[str, nn.Parameter]:
    """The parameters of some parts by their dotted names, each once.

    Args:
        net: any.
        parts: dotted names of modules, and "coarse_tail", see `coarse_tail`.
        side: of a square lr image that the network takes.

    Raises:
        ArgumentError: the network has no such part, or nothing in it can learn.
    """
    chosen: dict[str, nn.Parameter] = {}
    for part in parts:
        found = coarse_tail(net, side=side) if part == COARSE_TAIL else _below(net, part)
        if not found:
            raise ArgumentError(f"the part {part!r} of the network has no parameters of its own; leave it out")
        chosen |= {name: parameter for name, parameter in net.named_parameters() if name in found}
    return chosen


def is_the_original(name: str, *, tail: set[str]) -> bool:
    """Whether a parameter is one of the user's network, in style "pretrained"."""
    return not name.startswith("mask.") and name not in tail


def copy_of_the_original(net: MGANet, stages: Sequence[Stage]) -> MGANet | None:
    """A frozen copy of the net, if a stage changes the original's weights; else the net itself keeps them."""
    for stage in stages:
        tail = coarse_tail(net, side=stage.crop)
        if any(is_the_original(name, tail=tail) for name in parameters_of(net, stage.parts, side=stage.crop)):
            return copy.deepcopy(net).eval().requires_grad_(False)
    return None


def teaches_score(net: MGANet, stage: Stage) -> bool:
    """Whether a stage teaches a `ScorePredictor`, which is standardised before and calibrated after it."""
    return SCORE in stage.losses and isinstance(net.mask, ScorePredictor)


def counts_area(net: MGANet, stages: Sequence[Stage]) -> None:
    """Let patches at the border count for what they have, if a stage teaches a score that has never learned.

    Before anything is judged or read from a state, which does not hold it: a run that goes on chooses as one that was
    not killed.
    """
    mask = net.mask
    if isinstance(mask, ScorePredictor) and not mask.fitted and any(teaches_score(net, stage) for stage in stages):
        mask.by_area = True


@contextmanager
def on_purpose(net: MGANet) -> Iterator[None]:
    """Use a net that was never fitted without a warning: to train it, or to measure it while it is trained."""
    said, net.said_unfitted = net.said_unfitted, True
    try:
        yield
    finally:
        net.said_unfitted = said


@contextmanager
def learning(net: MGANet, parameters: dict[str, nn.Parameter]) -> Iterator[None]:
    """Let these parameters learn and freeze all others, with modules in train mode where all that they hold learns."""
    before = {name: parameter.requires_grad for name, parameter in net.named_parameters()}
    modes = {name: module.training for name, module in net.named_modules()}
    ids = {id(parameter) for parameter in parameters.values()}
    try:
        net.requires_grad_(False)
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        _set_modes(net, ids, mode=False)
        yield
    finally:
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(before[name])
        for name, module in net.named_modules():
            module.training = modes[name]


def _set_modes(module: nn.Module, ids: set[int], *, mode: bool) -> None:
    """A module without parameters (dropout) goes with the module that holds it."""
    held = {id(parameter) for parameter in module.parameters()}
    module.training = held <= ids if held else mode
    for child in module.children():
        _set_modes(child, ids, mode=module.training)


def _below(net: MGANet, part: str) -> set[str]:
    known = [name for name, _ in net.named_modules() if name]
    if part not in known:
        raise ArgumentError(
            f"got the part {nearest(part, PARTS)} or the dotted name of a module in base, mask or refine, "
            "as print(net) shows them"
        )
    ids = {id(parameter) for parameter in net.get_submodule(part).parameters()}
    return {name for name, parameter in net.named_parameters() if id(parameter) in ids}
