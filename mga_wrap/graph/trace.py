"""From a network to a graph of its blocks, with the facts of each node found once on an example image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mga_wrap.errors import CutError
from mga_wrap.graph.calls import Known, caught

FACT = "mga"
"""The key in `node.meta` under which a node's `Fact` lies."""


@dataclass(frozen=True)
class Fact:
    """What one run on the example showed of a node."""

    shape: tuple[int, ...] | None
    """Shape of the node's tensor; None if its value is no tensor."""
    macs: int
    """Multiply-accumulates of convolutions and matrix products."""


@dataclass(frozen=True)
class Traced:
    """A graph, the module whose children it calls, and the constant tensors that it holds."""

    model: nn.Module
    graph: fx.Graph
    constants: Mapping[str, Tensor] = field(default_factory=dict)

    def run(self, *inputs: Any) -> Any:
        """What the graph returns for these inputs."""
        return GraphRun(self).run(*inputs)

    def module(self, node: fx.Node) -> nn.Module:
        """The module that a node calls."""
        return self.model.get_submodule(str(node.target))

    def attribute(self, name: str) -> Any:
        """A module, parameter, buffer or constant by its dotted name."""
        if name in self.constants:
            return self.constants[name]
        value: Any = self.model
        for part in name.split("."):
            value = getattr(value, part)
        return value


class GraphRun(fx.Interpreter):
    """Runs a `Traced`, node by node."""

    def __init__(self, traced: Traced, *, keep: bool = False) -> None:
        super().__init__(traced.model, garbage_collect_values=not keep, graph=traced.graph)
        self.constants = traced.constants

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A constant of the graph, or something of the module's."""
        if target in self.constants:
            return self.constants[target]
        return super().get_attr(target, args, kwargs)


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


def trace_blocks(
    model: nn.Module, example: Tensor, *, opened: frozenset[str] = frozenset(), known: Known | None = None
) -> Traced:
    """Trace a network by torch.fx into a graph whose nodes are modules, and note each node's `Fact`.

    Its graph holds for every size, but nothing in the forward may ask for one, see `record_blocks`.

    Args:
        model: lr -> sr; it is traced and run as it is, so give a copy of the user's network.
        example: (B, 3, H, W), an image that the network takes.
        opened: dotted names of modules to look into; all others stay one node each.
        known: calls of this model's modules on this example that need not be made again.

    Returns:
        The graph, with the facts in `node.meta[FACT]`.

    Raises:
        CutError: the forward cannot be traced so (Python control flow on tensors or shapes outside its blocks), needs
            a second input, or does not return one image.
    """
    tracer = _BlockTracer(opened)
    try:
        with unchanged(model):
            graph = tracer.trace(model)
    except Exception as error:  # whatever a forward does with a proxy: the reason is passed on
        raise UntraceableError(
            f"{type(model).__name__} cannot be traced at the level of its blocks: {first_line(error)}"
        ) from error
    traced = Traced(model, graph)
    try:
        result = _noting_facts(traced, example, known or Known())
    except Exception as error:  # whatever a forward does with an image that it does not take
        raise fails_on(model, example, error) from error
    check_image(model, example, result)
    return traced


def fact(node: fx.Node) -> Fact:
    """The node's fact, found when it was traced."""
    return node.meta[FACT]


def ancestors(node: fx.Node) -> set[fx.Node]:
    """Every node that a node's value depends on."""
    return _reach([node], lambda n: n.all_input_nodes)


def descendants(nodes: Iterable[fx.Node]) -> set[fx.Node]:
    """Every node whose value depends on one of the given."""
    return _reach(nodes, lambda n: n.users)


def _reach(nodes: Iterable[fx.Node], step: Callable[[fx.Node], Iterable[fx.Node]]) -> set[fx.Node]:
    found: set[fx.Node] = set()
    queue = list(nodes)
    while queue:
        for node in step(queue.pop()):
            if node not in found:
                found.add(node)
                queue.append(node)
    return found


def check_image(model: nn.Module, example: Tensor, result: Any) -> None:
    """Raise CutError unless the network returned one image."""
    if not isinstance(result, Tensor) or result.ndim != 4:
        raise CutError(
            f"{type(model).__name__} returns {_describe(result)}; expected one image (B, 3, s*H, s*W) for an lr of "
            f"{tuple(example.shape)}. Wrap it in a module that returns the image alone."
        )


class UntraceableError(CutError):
    """torch.fx makes no graph of the network that holds for every size; the recorder may make one for each."""


class ExampleError(CutError):
    """The network does not take the example."""


def fails_on(model: nn.Module, example: Tensor, error: Exception) -> ExampleError:
    """The error for a network that does not take the example."""
    return ExampleError(
        f"{type(model).__name__} fails on an image of {tuple(example.shape)}: {first_line(error)}. If it takes "
        "another number of channels or other sizes, give such an image: example=torch.rand(1, 3, 64, 64)."
    )


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Put back what a forward assigns to its modules (`self.mean = self.mean.type_as(x)`), also after an error."""
    before = [(m, dict(vars(m)), dict(m._parameters), dict(m._buffers), dict(m._modules)) for m in model.modules()]
    values = [(tensor, tensor.data) for tensor in (*model.parameters(), *model.buffers())]
    try:
        yield
    finally:
        for tensor, value in values:
            tensor.data = value
        for module, attributes, parameters, buffers, children in before:
            vars(module).clear()
            vars(module).update(attributes)
            pairs: list[tuple[Any, Any]] = [
                (module._parameters, parameters),
                (module._buffers, buffers),
                (module._modules, children),
            ]
            for own, kept in pairs:
                own.clear()
                own.update(kept)


class _Noting(GraphRun):
    """Runs the graph once and notes a `Fact` for each node."""

    def __init__(self, traced: Traced, known: Known) -> None:
        super().__init__(traced)
        self.known = known

    def run_node(self, n: fx.Node) -> Any:
        before = self.known.macs
        value = super().run_node(n)
        shape = tuple(value.shape) if isinstance(value, Tensor) else None
        n.meta[FACT] = Fact(shape, self.known.macs - before)
        return value


def _noting_facts(traced: Traced, example: Tensor, known: Known) -> Any:
    """Run the graph without computing anything; for real where a block looks at its data."""
    with torch.no_grad(), caught(traced.model, known.call):
        try:
            mode = FakeTensorMode(allow_non_fake_inputs=True)
            with unchanged(traced.model), mode, known.counting():
                return _Noting(traced, known).run(mode.from_tensor(example))
        except Exception:  # whatever a forward does that has no value here: the run below shows if it is an error
            with known.counting():
                return _Noting(traced, known).run(example.clone())


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def first_line(error: Exception) -> str:
    """What an error says, short enough for a sentence of ours."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
