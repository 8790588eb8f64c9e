"""A network as one graph of torch.export, for every size or for one, and the smallest size for which it holds."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mga_wrap.config import Amount
from mga_wrap.errors import EngineError, one_line
from mga_wrap.exporting.parity import compare
from mga_wrap.nets.mga import MGANet
from mga_wrap.pictures.synthetic import synthetic

SMALLEST_PLAIN = 16
"""Pixels of a side that a network which is not cut is exported for, at least."""
LARGEST_SIDE = 512
"""Pixels of a side up to which a size is looked for that the network takes."""

OPERATORS = re.compile(r"(?:op='\w+\.|aten[.:]+|prims[.:]+|[Nn]ode %|executing %)(\w+)")
"""How exporters name the operator that they do not know."""

CONSTRAINT = re.compile(r"(?<=- )(Not all values of|You marked) .+")
"""What torch.export says below its first line, which says that something is violated."""


@dataclass(frozen=True)
class Traced:
    """A network's graph."""

    program: ExportedProgram
    size: tuple[int, int] | None
    """(height, width) if the graph holds for this size alone."""
    smallest: int
    """Pixels of a side."""
    scale: int
    """Sides of sr over sides of lr."""


class Whole(nn.Module):
    """One input, one output, k baked in.

    Args:
        net: lr -> sr.
        k: how much an MGANet refines.
    """

    def __init__(self, net: nn.Module, k: Amount | None) -> None:
        super().__init__()
        if isinstance(net, MGANet):  # a view that a graph takes of channels-last windows is none in another layout
            net = net.with_cut(geometry=replace(net.geometry, contiguous=True))
        self.net, self.options = net, {} if k is None else {"k": k}

    def forward(self, image: Tensor) -> Tensor:
        """Enlarge."""
        sr: Tensor = self.net(image, **self.options)
        return sr


def trace(
    net: nn.Module, k: Amount | None, *, size: tuple[int, int] | None, smallest: int, channels: int = 3
) -> Traced:
    """The graph for one size, or for every size from the smallest on, which is looked for.

    Args:
        net: in eval mode, on the CPU, float32.
        k: how much an MGANet refines.
        size: (height, width); None: every size.
        smallest: pixels of a side from which on the graph may hold, see `smallest_by_formula`.
        channels: of lr.

    Raises:
        EngineError: the graph holds for one size alone, computes something else at another one, or cannot be made.
    """
    if size is None:
        smallest = _smallest_that_runs(net, k, smallest, channels)
    height, width = size or (2 * smallest, 2 * smallest + 12)
    # It also makes what a network makes once for a size: not while it is traced.
    scale = _scale(net, k, (height, width), channels)
    images = torch.rand(1 if size else 2, channels, height, width)
    axes = {0: Dim("batch"), 2: Dim("height", min=smallest), 3: Dim("width", min=smallest)}
    try:
        with torch.no_grad(), quietly():
            shapes = None if size else {"image": axes}
            program = torch.export.export(Whole(net, k), (images,), dynamic_shapes=shapes)
    except Exception as error:  # each stage of the exporter has its own kinds
        raise EngineError(f"{reason(error)}{where(error, net)}") from error
    # Guards say for which sizes the exporter reasoned; what holds is seen below, and they are Python to be executed.
    program._guards_code = []
    smallest = smallest if size else _smallest_right(net, k, program, smallest, channels)
    return Traced(program, size, smallest, scale)


def smallest_by_formula(net: nn.Module) -> int:
    """Pixels of a side from which on a graph for every size may hold: a whole window and one pixel more."""
    if not isinstance(net, MGANet):
        return SMALLEST_PLAIN
    return max(SMALLEST_PLAIN, -(-(net.p + 2 * net.halo) * net.geometry.zoom // net.scale) + 1)


def _scale(net: nn.Module, k: Amount | None, size: tuple[int, int], channels: int) -> int:
    """Sides of sr over sides of lr.

    Raises:
        EngineError: it is no whole number, or no image comes of an image.
    """
    height, width = size
    try:
        with torch.no_grad():
            sr = net(synthetic(height, width, channels=channels), **({} if k is None else {"k": k}))
    except Exception as error:  # the user's code may raise anything
        raise EngineError(f"it takes no image of {width} x {height}: {reason(error)}{where(error, net)}") from error
    scale = sr.shape[-1] // width if isinstance(sr, Tensor) and sr.ndim == 4 else 0
    if scale < 1 or sr.shape != (1, channels, scale * height, scale * width):
        found = tuple(sr.shape) if isinstance(sr, Tensor) else f"a {type(sr).__name__}"
        raise EngineError(f"of (1, {channels}, {height}, {width}) it makes {found}; expected an image, enlarged")
    return scale


def _smallest_that_runs(net: nn.Module, k: Amount | None, smallest: int, channels: int) -> int:
    """From `smallest` on, the first side that the network itself takes."""
    error = _cannot(net, k, smallest, channels)
    if error is None:
        return smallest
    fails, side = smallest, smallest
    while _cannot(net, k, side, channels) is not None:
        fails, side = side, side * 2
        if side > LARGEST_SIDE:
            raise EngineError(f"it takes no image of {smallest} x {smallest} pixels ({reason(error)}), nor larger ones")
    while side - fails > 1:
        middle = (side + fails) // 2
        fails, side = (fails, middle) if _cannot(net, k, middle, channels) is None else (middle, side)
    return side


def _cannot(net: nn.Module, k: Amount | None, side: int, channels: int) -> Exception | None:
    """What a network says to images of these sides, if it does not enlarge them."""
    try:
        with torch.no_grad():
            for width in (side, side + 7):
                net(synthetic(side, width, channels=channels), **({} if k is None else {"k": k}))
    except Exception as error:  # the user's code may raise anything
        return error
    return None


def _smallest_right(net: nn.Module, k: Amount | None, program: ExportedProgram, smallest: int, channels: int) -> int:
    """The smallest side from which on the graph gives the network's image at all sizes that are tried.

    Raises:
        EngineError: at none.
    """
    with quietly():
        run = program.module()
    failure: Exception | None = None
    for side in (smallest, smallest + smallest // 2, 2 * smallest):
        sizes = [(side, side), (side + 1, side + 10), (2 * side + 5, side + 3), (side + 2, 3 * side)]
        try:
            compare(net, run, k, sizes, channels=channels)
        except Exception as error:  # a graph that does not hold fails in any operator
            failure = error
        else:
            return side
    assert failure is not None
    raise EngineError(f"its graph does not hold for every size ({reason(failure)})") from failure


# ------------------------------------------------------------------------------------- what to say of another's error
def reason(error: BaseException) -> str:
    """The first line of what went wrong at the bottom, without colours; of sizes that do not fit, which."""
    while error.__cause__ is not None:
        error = error.__cause__
    which = CONSTRAINT.search(str(error))
    return which[0] if which else re.sub(r"\x1b\[[0-9;]*m", "", one_line(error))


def where(error: BaseException, net: nn.Module, program: ExportedProgram | None = None) -> str:
    """Which of a network's modules could not be exported, in brackets; nothing where nobody says it.

    Args:
        error: it was running in the module's forward, or names an operator of the program.
        net: the network.
        program: its graph, where there is one.
    """
    name = _running(error, net) or ("" if program is None else _named(error, program))
    with suppress(AttributeError):  # a name of the traced copy that the network does not have
        if name:
            return f" (in its {name}, a {type(net.get_submodule(name)).__name__})"
    return ""


def _running(error: BaseException | None, net: nn.Module) -> str:
    """The innermost module whose forward was running when an error, or what caused it, was raised."""
    names = {id(module): name for name, module in net.named_modules()}
    found = ""
    while error is not None:
        trace = error.__traceback__
        while trace is not None:
            found = names.get(id(_self(trace.tb_frame)), "") or found
            trace = trace.tb_next
        error = error.__cause__ or error.__context__
    return found


def _self(frame: FrameType) -> Any:
    return frame.f_locals.get("self")


def _named(error: BaseException, program: ExportedProgram) -> str:
    """The module of the first operator that an error names; exporters name them after what they made of them."""
    for said in OPERATORS.findall(f"{reason(error)}\n{error}"):
        for node in program.graph.nodes:
            known = str(node.target).split(".")[1:2] if node.op == "call_function" else []
            if node.name == said or any(f"_{name}".endswith(f"_{said}") for name in known):
                stack = list(node.meta.get("nn_module_stack", {}).values())
                if stack:
                    return str(stack[-1][0]).removeprefix("net").removeprefix(".")
    return ""


@contextmanager
def quietly() -> Iterator[None]:
    """Without the exporter's hundreds of lines, logged and printed, which say what the error says."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
