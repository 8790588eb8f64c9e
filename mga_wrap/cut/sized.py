"""A Base-Net and a Refine-Net of a network whose graph holds for one size of image: a graph for each, when it comes.

The network's own forward is traced again for each new size (`record_blocks`), on a fake image and past the blocks, so
that nothing is computed. For that a hollow copy of the network is kept: its code, and parameters that take no memory.
"""

from __future__ import annotations

import copy
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import _disable_current_modes

from mga_wrap.cut.crossing import Interface, crossing_nodes, map_size
from mga_wrap.cut.graphs import LIGHT, BaseGraph, refine_graph, written_in_place
from mga_wrap.errors import CutError
from mga_wrap.graph.chain import Chain, Template
from mga_wrap.graph.record import set_item
from mga_wrap.graph.trace import Traced
from mga_wrap.nets.layouts import from_map, to_map

PLANS = 16
"""How many sizes' graphs a network keeps; the longest unused goes first."""


@dataclass(frozen=True)
class Plan:
    """The graph for one shape of lr."""

    graph: fx.Graph
    constants: Mapping[str, Tensor]


@dataclass(frozen=True)
class Blueprint:
    """All that is needed to make the plans of a Base-Net or a Refine-Net; it never changes."""

    template: Template
    count: int
    crosses: Interface
    side: Literal["base", "refine"]
    saved: frozenset[int] = frozenset()
    """Places in (lr, *crossing) of tensors that the Base-Net copies, see `written_in_place`."""
    light: bool = False
    """The Base-Net has a tail of its own, `LIGHT`."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Blueprint:
        return self

    def plan(self, lr: Tensor) -> Plan:
        """The graph for images like this one.

        Raises:
            CutError: the network does not take this size, or its forward takes another way there.
        """
        template = self.template if self.template.dtype == lr.dtype else self.template.as_dtype(lr.dtype)
        return self.plan_of(template.chain(tuple(lr.shape)))

    def plan_of(self, chain: Chain) -> Plan:
        """The graph for the size of a chain."""
        inside, crossing = crossing_nodes(chain, self.count)
        if len(crossing) != len(self.crosses.crossing):
            raise CutError(
                f"{chain.name} passes {len(crossing)} tensors on for an image of {tuple(chain.example.shape)}, and "
                f"{len(self.crosses.crossing)} for the example; expected the same at every size"
            )
        graph = self._base(chain, crossing) if self.side == "base" else self._refine(chain, inside, crossing)
        graph.eliminate_dead_code(is_impure_node=_writes)
        used = {node.target for node in graph.nodes if node.op == "get_attr"}
        return Plan(graph, {name: value for name, value in chain.traced.constants.items() if name in used})

    def _base(self, chain: Chain, crossing: list[fx.Node]) -> fx.Graph:
        base = BaseGraph(chain, self.count, crossing, saved=self.saved)
        graph = base.side.graph
        coarse = None if self.light else base.coarse()
        tensors = base.crossing()
        for place, (node, one) in enumerate(zip(crossing, self.crosses.crossing, strict=True)):
            if one.is_reshaped:
                size = map_size(node, one.layout, chain.example.shape)
                tensors[place] = graph.call_function(to_map, (tensors[place], one.layout, *size))
        if coarse is None:
            coarse = graph.call_module(LIGHT, (tensors[0], base.side.image))
        graph.output((coarse, *tensors))
        return graph

    def _refine(self, chain: Chain, inside: list[fx.Node], crossing: list[fx.Node]) -> fx.Graph:
        side, inputs = refine_graph(chain, [], crossing)
        for node, one, given in zip(crossing, self.crosses.crossing, inputs, strict=True):
            if one.is_reshaped:
                side.env[node] = side.graph.call_function(from_map, (given, one.layout))
        for node in inside:
            side.take(node)
        side.graph.output(side.env[chain.sr])
        return side.graph


class SizedNet(nn.Module):
    """One side of a cut; it makes a graph for each shape of lr that it is given.

    As a Base-Net it takes lr, as a Refine-Net windows of what crosses the cut, lr last; with ``dense=True`` all of it.
    """

    def __init__(self, layers: Mapping[str, Any], blueprint: Blueprint) -> None:
        super().__init__()
        _plant(self, layers)
        self.blueprint = blueprint
        self._plans: OrderedDict[Any, Plan] = OrderedDict()
        self._lock = threading.RLock()

    def forward(self, *inputs: Tensor, dense: bool = False) -> Any:
        """Run the graph for the shape of lr."""
        *tensors, lr = inputs
        spare = self.blueprint.crosses.spare
        if self.blueprint.side == "base" or dense or not spare:
            return self._run(lr, inputs)
        lr = lr[..., :-spare, :-spare]  # the image of which the feature is as large as the window
        missing = spare * self.blueprint.crosses.zoom // self.blueprint.crosses.stride
        return F.pad(self._run(lr, (*tensors, lr)), [0, missing, 0, missing])

    def _run(self, lr: Tensor, inputs: tuple[Any, ...]) -> Any:
        plan = self.plan(lr)
        return Traced(self, plan.graph, plan.constants).run(*inputs)

    def plan(self, lr: Tensor) -> Plan:
        """The plan for images like lr; made if it is new. One that does not name the number of images serves all."""
        key = (tuple(lr.shape[1:]), lr.dtype, lr.device)
        with self._lock:  # two threads of one network: one makes the plan, the other takes it
            for known in (key, (lr.shape[0], *key)):
                if known in self._plans:
                    self._plans.move_to_end(known)
                    return self._plans[known]
            plan, any_number = self._make(lr)
            self._plans[key if any_number else (lr.shape[0], *key)] = plan
            if len(self._plans) > PLANS:
                self._plans.popitem(last=False)
        return plan

    def _make(self, lr: Tensor) -> tuple[Plan, bool]:
        """A new plan, and whether it serves any number of images."""
        # Out of the modes of torch.export too: the plan's constants are compared by value.
        with _disable_current_modes(), torch.inference_mode(False), torch.no_grad():
            plan = self.blueprint.plan(torch.empty(lr.shape, dtype=lr.dtype))
            more = self.blueprint.plan(torch.empty(lr.shape[0] + 1, *lr.shape[1:], dtype=lr.dtype))
            any_number = _signature(plan) == _signature(more)
        return _moved(plan, lr.device), any_number

    def __getstate__(self) -> dict[str, Any]:
        """Without the plans, which are made again, and the lock."""
        return {**self.__dict__, "_plans": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy has a lock of its own."""
        super().__setstate__({**state, "_lock": threading.RLock()})


def sized_nets(
    chain: Chain, count: int, crosses: Interface, *, light: nn.Module | None = None
) -> tuple[SizedNet, SizedNet]:
    """Base-Net and Refine-Net of a chain whose graph holds for the example's size."""
    template = Template.of(chain)
    base = Blueprint(template, count, crosses, "base")
    first = base.plan_of(chain)
    saved = written_in_place(Traced(chain.traced.model, first.graph, first.constants), chain.example)
    base = replace(base, saved=saved, light=light is not None)
    refine = Blueprint(template, count, crosses, "refine")
    return _net(chain, base, {LIGHT: light} if light else {}), _net(chain, refine, {})


def _net(chain: Chain, blueprint: Blueprint, more: Mapping[str, nn.Module]) -> SizedNet:
    graph = blueprint.plan_of(chain).graph
    names = {str(node.target) for node in graph.nodes if node.op in ("call_module", "get_attr")}
    names -= {*chain.traced.constants, *more}
    layers = copy.deepcopy({name: chain.traced.attribute(name) for name in sorted(names)})  # tied layers stay tied
    return SizedNet({**layers, **more}, blueprint)


def _plant(root: nn.Module, layers: Mapping[str, Any]) -> None:
    """Give a module children, parameters and buffers of these dotted names."""
    for name, value in layers.items():
        *path, last = name.split(".")
        parent = root
        for part in path:
            if part not in parent._modules:
                parent.add_module(part, nn.Module())
            parent = parent.get_submodule(part)
        if isinstance(value, nn.Module):
            parent.add_module(last, value)
        elif isinstance(value, nn.Parameter):
            parent.register_parameter(last, value)
        else:
            parent.register_buffer(last, value)


def _writes(node: fx.Node) -> bool:
    """A node that counts even if nobody uses its value: what it writes into may be part of another tensor."""
    name = getattr(node.target, "__name__", str(node.target))
    in_place = name.endswith("_") and not name.endswith("__")
    return node.op in ("placeholder", "output") or in_place or name.startswith("__i") or name == set_item.__name__


def _moved(plan: Plan, device: torch.device) -> Plan:
    """The plan on a device: its constants, and the places where the forward asked for a tensor's device."""
    if device.type == "cpu":
        return plan
    for node in plan.graph.nodes:
        node.args, node.kwargs = fx.node.map_aggregate(
            (node.args, node.kwargs), lambda value: device if isinstance(value, torch.device) else value
        )
    return Plan(plan.graph, {name: value.to(device) for name, value in plan.constants.items()})


def _signature(plan: Plan) -> Any:
    """Equal for plans that compute the same."""
    place = {node: f"%{number}" for number, node in enumerate(plan.graph.nodes)}

    def named(value: Any) -> Any:
        return fx.node.map_aggregate(value, lambda one: place.get(one, one) if isinstance(one, fx.Node) else one)

    calls = [(node.op, str(node.target), repr(named((node.args, node.kwargs)))) for node in plan.graph.nodes]
    constants = [(name, value.shape, value.flatten().tolist()) for name, value in plan.constants.items()]
    return calls, constants
