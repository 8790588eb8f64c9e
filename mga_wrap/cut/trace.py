"""From a network to a graph of its blocks, with the facts of each node found once on an example image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode

from mga_wrap.errors import CutError

FACT = "mga"
"""The key in `node.meta` under which a node's `Fact` lies."""


@dataclass(frozen=True)
class Fact:
    """What one run on the example showed of a node."""

    shape: tuple[int, ...] | None
    """Shape of the node's tensor; None if its value is no tensor."""
    macs: int
    """Multiply-accumulates of convolutions and matrix products."""
    version: int
    """How often the tensor had been written in place when the node returned it."""


class _BlockTracer(fx.Tracer):
    """Opens the root and the modules named in `opened`; every other module is one node."""

    def __init__(self, opened: frozenset[str]) -> None:
        super().__init__()
        self.opened = opened

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name not in self.opened

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Callable[..., Any], list[Any]]:
        """One proxy, the lr image; further arguments keep their defaults (`forward(x, mask=None)`)."""
        return root_fn, [self.root, self.create_proxy("placeholder", "lr", (), {})]


def trace_blocks(model: nn.Module, example: Tensor, *, opened: frozenset[str] = frozenset()) -> fx.GraphModule:
    """Trace a network into a graph whose nodes are modules, and note each node's `Fact`.

    Args:
        model: lr -> sr; it is traced and run as it is, so give a copy of the user's network.
        example: (B, 3, H, W), an image that the network takes.
        opened: dotted names of modules to look into; all others stay one node each.

    Returns:
        The graph, with the facts in `node.meta[FACT]`.

    Raises:
        CutError: the forward cannot be traced (Python control flow on tensors or shapes outside its blocks), needs
            a second input, or does not return one image.
    """
    tracer = _BlockTracer(opened)
    try:
        graph = tracer.trace(model)
    except Exception as error:  # whatever a forward does with a proxy: the reason is passed on
        raise CutError(
            f"{type(model).__name__} cannot be traced at the level of its blocks: {first_line(error)}. Expected a "
            "forward that calls modules and functions without Python control flow on tensors or shapes; move such "
            "code into a block of its own."
        ) from error
    traced = fx.GraphModule(model, graph)
    try:
        with torch.no_grad():
            result = _Recorder(traced).run(example.clone())
    except Exception as error:  # whatever a forward does with an image that it does not take
        raise CutError(
            f"{type(model).__name__} fails on an image of {tuple(example.shape)}: {first_line(error)}. If it takes "
            "another number of channels or other sizes, give such an image: example=torch.rand(1, 3, 64, 64)."
        ) from error
    if not isinstance(result, Tensor) or result.ndim != 4:
        raise CutError(
            f"{type(model).__name__} returns {_describe(result)}; expected one image (B, 3, s*H, s*W) for an lr of "
            f"{tuple(example.shape)}. Wrap it in a module that returns the image alone."
        )
    return traced


def fact(node: fx.Node) -> Fact:
    """The node's fact, found by `trace_blocks`."""
    return node.meta[FACT]


class _Recorder(fx.Interpreter):
    """Runs the graph once and notes a `Fact` for each node."""

    def run_node(self, n: fx.Node) -> Any:
        with FlopCounterMode(display=False) as counter:
            value = super().run_node(n)
        is_tensor = isinstance(value, Tensor)
        n.meta[FACT] = Fact(
            shape=tuple(value.shape) if is_tensor else None,
            macs=counter.get_total_flops() // 2,
            version=value._version if is_tensor else 0,
        )
        return value


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def first_line(error: Exception) -> str:
    """What an error says, short enough for a sentence of ours."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
