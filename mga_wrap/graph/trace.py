"""From a network to a graph of its blocks, with the facts of each node found once on an example image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mga_wrap.errors import CutError, one_line
from mga_wrap.graph.calls import Call, Known, caught, quiet

FACT = "mga"
"""The key in `node.meta` under which a node's `Fact` lies."""
CHEAP = 2e10
"""Parameters times pixels, about the MACs, up to which a network is run to see its shapes. Fake tensors compute
nothing, but torch loads its compiler for them, which takes a second and a half."""


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
    """Torch.fx's tracer for one network: opens the root and the modules named; every other module is one node.

    `fx.Tracer.trace` replaces the call of all modules and the parameters' lookup in `nn.Module`, for every thread of
    the process. Here the modules of this network are changed, and nothing else.
    """

    def __init__(self, model: nn.Module, opened: frozenset[str]) -> None:
        super().__init__()
        self.root, self.opened, self.graph = model, opened, fx.Graph()
        self.tensor_attrs = {}
        tensors = [*model.named_parameters(), *model.named_buffers()]
        for prefix, module in model.named_modules():
            found = ((key, value) for key, value in vars(module).items() if isinstance(value, Tensor))
            tensors += [(f"{prefix}.{key}" if prefix else key, value) for key, value in found]
        self._names = {id(tensor): name for name, tensor in reversed(tensors)}

    def graph_of_forward(self) -> fx.Graph:
        """Call the network with a proxy, the lr image; further arguments keep their defaults."""
        lr = self.create_proxy("placeholder", "lr", (), {})
        parameters = {id(value): _Parameter(self, name) for name, value in self.root.named_parameters()}
        with unchanged(self.root), caught(self.root, self._take):
            for module in self.root.modules():
                own = module._parameters.items()
                vars(module).update({key: parameters[id(value)] for key, value in own if value is not None})
            self.create_node("output", "output", (self.create_arg(self.root(lr)),), {})
        return self.graph

    def _take(self, name: str, call: Call, args: Any, kwargs: Any) -> Any:
        if name in self.opened:
            return call(*args, **kwargs)
        return self.create_proxy("call_module", name, args, kwargs)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """What stands for a node's value in the forward."""
        return _Value(node, self)

    def create_arg(self, a: Any) -> Any:
        """As torch.fx does, but tensors are the network's own: one that a forward makes may hang on its buffers."""
        if not isinstance(a, Tensor):
            return super().create_arg(a)
        if id(a) not in self._names:
            raise TypeError(f"its forward makes a tensor of its own, of shape {tuple(a.shape)}")
        return self.create_node("get_attr", self._names[id(a)], (), {})


class _Value(fx.Proxy):
    """A proxy that may be rounded by `math`, as sizes are."""

    def __floor__(self) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", math.floor, (self,), {})

    def __ceil__(self) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", math.ceil, (self,), {})

    def __trunc__(self) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", math.trunc, (self,), {})


class _Parameter(fx.Proxy):
    """A parameter of the network, which becomes a node when it is first used."""

    def __init__(self, tracer: fx.Tracer, target: str) -> None:
        self.tracer = tracer
        self._target = target
        self._node: fx.Node | None = None

    @property
    def node(self) -> fx.Node:  # type: ignore[override]
        if self._node is None:
            self._node = self.tracer.create_node("get_attr", self._target, (), {})
        return self._node


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
        UntraceableError: the forward cannot be traced so: Python control flow on tensors or shapes outside its blocks.
        CutError: it needs a second input, fails on the example, or does not return one image.
    """
    try:
        graph = _BlockTracer(model, opened).graph_of_forward()
    except Exception as error:  # whatever a forward does with a proxy: the reason is passed on
        raise UntraceableError(
            f"{type(model).__name__} cannot be traced at the level of its blocks: {one_line(error)}"
        ) from error
    traced = Traced(model, graph)
    try:
        result = _noting_facts(traced, example, known or Known())
    except Exception as error:  # whatever a forward does with an image, or did otherwise with a proxy
        check_image(model, example, _called(model, example))
        raise UntraceableError(
            f"{type(model).__name__} takes another way for a proxy than for an image, on which that fails: "
            f"{one_line(error)}"
        ) from error
    check_image(model, example, result)
    return traced


class UntraceableError(CutError):
    """Torch.fx makes no graph of this network that holds for every size; the recorder may, for one size at a time."""


def _called(model: nn.Module, example: Tensor) -> Any:
    """What the network itself returns for the example, as it is: neither traced nor in a graph."""
    try:
        with torch.no_grad(), unchanged(model):
            return model(example.clone())
    except Exception as error:  # whatever a forward does with an image that it does not take
        raise fails_on(model, example, error) from error


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


class ExampleError(CutError):
    """The network does not take the example."""


def fails_on(model: nn.Module, example: Tensor, error: Exception) -> ExampleError:
    """The error for a network that does not take the example."""
    said, kind = one_line(error), type(error).__name__
    why = said if isinstance(error, RuntimeError) or said == kind else f"{kind}: {said}"  # a KeyError is but a key
    return ExampleError(
        f"{type(model).__name__} fails on an image of {tuple(example.shape)}: {why}. If it takes "
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
    """Run the graph without computing anything; for real where a block looks at its data, and where that is quicker."""
    cost = sum(x.numel() for x in traced.model.parameters()) * example.shape[-2] * example.shape[-1]
    with torch.no_grad(), quiet(), caught(traced.model, known.call):
        try:
            if cost <= CHEAP and example.device.type == "cpu":
                with unchanged(traced.model), known.counting():
                    return _Noting(traced, known).run(example.clone())
            mode = FakeTensorMode(allow_non_fake_inputs=True)
            with unchanged(traced.model), mode, known.counting():
                return _Noting(traced, known).run(mode.from_tensor(example))
        except Exception:  # whatever a forward does that has no value here: the run below shows if it is an error
            with known.counting():
                return _Noting(traced, known).run(example.clone())


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, dict):
        return f"a dict with {', '.join(map(repr, value)) or 'nothing'}"
    if isinstance(value, tuple | list):  # torch.fx makes lists and tuples of its own
        return f"a {'tuple' if isinstance(value, tuple) else 'list'} of {len(value)}"
    return f"a {type(value).__name__}"
