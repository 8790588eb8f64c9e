"""Copy parts of a traced graph into graphs of their own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from mga_wrap.errors import CutError
from mga_wrap.graph.chain import Chain
from mga_wrap.graph.family import Block
from mga_wrap.graph.trace import GraphRun, Traced, ancestors, fact, unchanged
from mga_wrap.nets.layouts import Crossing

Env = dict[fx.Node, fx.Node]
"""From nodes of the traced graph to their copies."""

LIGHT = "coarse_tail"
"""The name of a light tail in the Base-Net."""

CATS = (torch.cat, torch.concat, torch.concatenate)


@dataclass(frozen=True)
class Split:
    """A Base-Net, a Refine-Net, and what is known about the cut between them."""

    base: nn.Module
    """lr -> (coarse, feature, other tensors that cross the cut)."""
    refine: nn.Module
    """Windows of each crossing tensor -> windows of sr; with ``dense=True`` the whole maps at once."""
    crossing: tuple[Crossing, ...]
    """What the Base-Net returns beside the coarse image, the feature first, with the halo of each."""
    zoom: int
    """Pixels of sr a side for one of the feature."""
    trim: int
    """Ring of feature pixels that is still around the Refine-Net's output."""


@dataclass
class GraphCopy:
    """A graph under construction.

    Attributes:
        env: the copies made so far, and what stands in for a node that is not copied.
        dropped: nodes that do not exist on this side of the cut; a cat leaves them out.
        narrowed: convolutions after such a cat, by dotted name, and the input channels that they keep.
    """

    graph: fx.Graph = field(default_factory=fx.Graph)
    env: Env = field(default_factory=dict)
    dropped: frozenset[fx.Node] = frozenset()
    narrowed: dict[str, list[int]] = field(default_factory=dict)

    @property
    def image(self) -> fx.Node:
        """The first input."""
        return next(node for node in self.graph.nodes if node.op == "placeholder")

    def take(self, node: fx.Node) -> None:
        """Copy one node, whose inputs have been copied or replaced before."""
        if node.target in CATS and self.dropped.intersection(node.all_input_nodes):
            self.env[node] = self._narrow_cat(node)
        else:
            self.env[node] = self.graph.node_copy(node, self.env.__getitem__)

    def _narrow_cat(self, node: fx.Node) -> fx.Node:
        parts: list[fx.Node] = list(node.args[0])  # type: ignore[arg-type]
        kept: list[int] = []
        start = 0
        for part in parts:
            channels = channels_of(part)
            if part not in self.dropped:
                kept += range(start, start + channels)
            start += channels
        for user in node.users:
            if user.op != "call_module":
                raise CutError(
                    f"the fusion {node.name} of all blocks goes into {user.name}, not into a convolution; "
                    "style='paper' cannot leave blocks out of it: use style='pretrained'"
                )
            self.narrowed[str(user.target)] = kept
        here = [self.env[part] for part in parts if part not in self.dropped]
        return self.graph.call_function(torch.cat, (here, *node.args[1:]), dict(node.kwargs))

    def finish(
        self, traced: Traced, result: Any, *, name: str, more: Mapping[str, nn.Module] | None = None
    ) -> fx.GraphModule:
        """Make a module of the graph, with copies of the layers that it calls (tied layers stay tied)."""
        self.graph.output(result)
        module = fx.GraphModule(self.layers(traced, more or {}), self.graph, class_name=name)
        module.graph.eliminate_dead_code()
        module.delete_all_unused_submodules()
        module.recompile()
        return copy.deepcopy(module)

    def layers(self, traced: Traced, more: Mapping[str, nn.Module]) -> dict[str, Any]:
        """By dotted name, the modules, parameters and buffers that the graph uses; `more` are not the network's."""
        used: dict[str, Any] = dict(more)
        for node in self.graph.nodes:
            if node.op in ("call_module", "get_attr") and node.target not in more:
                used[str(node.target)] = traced.attribute(str(node.target))
        for target in self.narrowed.keys() & used.keys():
            used[target] = _narrow(used[target], self.narrowed[target], target)
        return used


def last_that_ran(blocks: tuple[Block, ...], count: int) -> Env:
    """Let the nodes of every block after the first `count` be replaced by those of the last block that runs.

    What grows from block to block (CARN's cascade) has no like there: it runs, on what replaces its inputs.
    """
    template = blocks[count - 1].nodes
    stand_in: Env = {}
    for block in blocks[count:]:
        for place, node in enumerate(block.nodes):
            like = template[min(place, len(template) - 1)]
            if fact(like).shape == fact(node).shape:
                stand_in[node] = like
        stand_in[block.end] = template[-1]
    return stand_in


def base_net(
    chain: Chain,
    count: int,
    crossing: list[fx.Node],
    *,
    dropped: frozenset[fx.Node] = frozenset(),
    light: nn.Module | None = None,
) -> fx.GraphModule:
    """A `BaseGraph` as a module, with the copies that `written_in_place` asks for, or with a light tail."""

    def build(saved: frozenset[int]) -> fx.GraphModule:
        base = BaseGraph(chain, count, crossing, dropped=dropped, saved=saved)
        side = base.side
        if light is None:
            return side.finish(chain.traced, (base.coarse(), *base.crossing()), name="BaseNet")
        feature, *others = base.crossing()
        coarse = side.graph.call_module(LIGHT, (feature, side.image))
        return side.finish(chain.traced, (coarse, feature, *others), name="BaseNet", more={LIGHT: light})

    base = build(frozenset())
    saved = written_in_place(Traced(base, base.graph), chain.example)
    return build(saved) if saved else base


class BaseGraph:
    """The whole network with the last block's value in place of the later ones' (or without them in a cat).

    Nodes are copied in the network's order: first those that lead to what crosses the cut, and then, if it is asked
    for, the tail that makes the coarse image.

    Args:
        chain: the network.
        count: blocks in the Base-Net.
        crossing: the nodes whose tensors are returned beside the coarse image.
        dropped: nodes that a cat leaves out.
        saved: places in (lr, *crossing) of tensors of which a copy is made, see `written_in_place`.
    """

    def __init__(
        self,
        chain: Chain,
        count: int,
        crossing: list[fx.Node],
        *,
        dropped: frozenset[fx.Node] = frozenset(),
        saved: frozenset[int] = frozenset(),
    ) -> None:
        self.side = GraphCopy(dropped=dropped)
        self._chain, self._nodes = chain, crossing
        self._stand_in = last_that_ran(chain.blocks, count)
        self._cut = chain.blocks[count].start
        self._saved = {node for place, node in enumerate((chain.lr, *crossing)) if place in saved}
        self._result: Env = {}

    def crossing(self) -> list[fx.Node]:
        """Copies of what crosses the cut, and of all that leads to it."""
        if not self._result:
            needed = {self._chain.lr, *self._nodes}.union(*(ancestors(node) for node in self._nodes))
            self._copy(lambda node: node in needed)
        return [self._result[node] for node in self._nodes]

    def coarse(self) -> fx.Node:
        """A copy of the image that the network's own tail makes of it."""
        self._copy(lambda node: True)
        return self.side.env[self._chain.sr]

    def _copy(self, wanted: Callable[[fx.Node], bool]) -> None:
        """Copy all nodes that are wanted, in order, and hand on what crosses as soon as its blocks are through."""
        past_the_cut = False
        for node in self._chain.traced.graph.nodes:
            if node.op == "output":
                return
            if node is self._cut:  # from here on only the coarse tail runs
                past_the_cut = True
                self._hand_on()
            if not wanted(node):
                continue
            self._take(node)
            if past_the_cut:
                self._hand_on()

    def _take(self, node: fx.Node) -> None:
        side = self.side
        if node in self._stand_in:
            side.env[node] = side.env[self._stand_in[node]]
            return
        side.take(node)
        if node is self._chain.lr and node in self._saved:
            side.env[node] = side.graph.call_method("clone", (side.env[node],))

    def _hand_on(self) -> None:
        """Note the crossing tensors that are there; a tail that writes into one must not change what is handed on."""
        side = self.side
        for node in self._nodes:
            if node in side.env and node not in self._result:
                copied = side.env[node]
                self._result[node] = side.graph.call_method("clone", (copied,)) if node in self._saved else copied


def refine_graph(chain: Chain, inside: list[fx.Node], crossing: list[fx.Node]) -> tuple[GraphCopy, list[fx.Node]]:
    """The rest of the network, from what crosses the cut; returns the graph and its inputs, the output is to be set."""
    side = GraphCopy()
    inputs = [side.graph.placeholder(node.name) for node in crossing]
    side.env = dict(zip(crossing, inputs, strict=True))
    for node in inside:
        side.take(node)
    return side, inputs


def add_dense(side: GraphCopy) -> fx.Node:
    """The Refine-Net's last argument: whether it is given the whole maps in place of windows."""
    return side.graph.placeholder("dense", type_expr=bool, default_value=False)


def written_in_place(base: Traced, lr: Tensor) -> frozenset[int]:
    """Which of (lr, *crossing) a Base-Net writes into after it has returned them, or to begin with: by running it.

    Where the tail writes in place into a tensor that crosses the cut, or the network into its input, a copy has to be
    made first, so that neither the Refine-Net nor the user sees it.
    """
    output = next(node for node in reversed(base.graph.nodes) if node.op == "output")
    image = next(node for node in base.graph.nodes if node.op == "placeholder")
    run = _Versions(base, [image, *output.args[0][1:]])
    with torch.no_grad(), unchanged(base.model):
        run.run(lr.clone())
    return frozenset(place for place, (value, version) in enumerate(run.seen()) if value._version != version)


class _Versions(GraphRun):
    """Runs a graph and keeps the named tensors with the version that they had when they were returned."""

    def __init__(self, traced: Traced, nodes: list[fx.Node]) -> None:
        super().__init__(traced, keep=True)
        self.nodes = nodes
        self._seen: dict[fx.Node, tuple[Tensor, int]] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n in self.nodes:
            self._seen[n] = (value, value._version)
        return value

    def seen(self) -> list[tuple[Tensor, int]]:
        """Each node's tensor, with its version when it was made."""
        return [self._seen[node] for node in self.nodes]


def channels_of(node: fx.Node) -> int:
    """C of a node's (B, C, H, W)."""
    return size_of(node)[1]


def size_of(node: fx.Node) -> tuple[int, ...]:
    """The shape of a node's tensor on the example.

    Raises:
        CutError: it is no map (B, C, H, W).
    """
    shape = fact(node).shape
    if shape is None or len(shape) != 4:
        raise CutError(
            f"{node.name}, of shape {shape}, crosses the cut; expected maps (B, C, H, W). Cut at another block."
        )
    return shape


def _narrow(conv: Any, channels: list[int], target: str) -> nn.Conv2d:
    if not isinstance(conv, nn.Conv2d) or conv.groups != 1:
        raise CutError(
            f"{target}, after the fusion of all blocks, is a {type(conv).__name__}; style='paper' expects an ungrouped "
            "Conv2d there, whose weights it can slice: use style='pretrained'"
        )
    narrow = copy.deepcopy(conv)
    narrow.in_channels = len(channels)
    narrow.weight = nn.Parameter(conv.weight.detach()[:, channels].clone(), requires_grad=conv.weight.requires_grad)
    return narrow
