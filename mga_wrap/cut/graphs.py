"""Copy parts of a traced graph into graphs of their own."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from mga_wrap.cut.chain import Block, Chain
from mga_wrap.cut.trace import fact
from mga_wrap.errors import CutError

Env = dict[fx.Node, fx.Node]
"""From nodes of the traced graph to their copies."""

CATS = (torch.cat, torch.concat, torch.concatenate)


@dataclass(frozen=True)
class Split:
    """A Base-Net, a Refine-Net, and what is known about the cut between them."""

    base: fx.GraphModule
    """lr -> (coarse, feature, other tensors that cross the cut)."""
    refine: fx.GraphModule
    """(windows of each crossing tensor, valid) -> windows of sr; valid=False: the whole maps at once."""
    halos: tuple[int, ...]
    """Halo with which each crossing tensor is gathered."""
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
                    "style='paper' cannot leave blocks out of it: use style='continue'"
                )
            self.narrowed[str(user.target)] = kept
        here = [self.env[part] for part in parts if part not in self.dropped]
        return self.graph.call_function(torch.cat, (here, *node.args[1:]), dict(node.kwargs))

    def finish(
        self, traced: fx.GraphModule, result: Any, *, name: str, more: Mapping[str, nn.Module] | None = None
    ) -> fx.GraphModule:
        """Make a module of the graph, with copies of the layers that it calls (tied layers stay tied)."""
        self.graph.output(result)
        own = more or {}
        used: dict[str, Any] = dict(own)
        for node in self.graph.nodes:
            if node.op in ("call_module", "get_attr") and node.target not in own:
                used[str(node.target)] = _attribute(traced, str(node.target))
        for target in self.narrowed.keys() & used.keys():
            used[target] = _narrow(used[target], self.narrowed[target], target)
        module = fx.GraphModule(used, self.graph, class_name=name)
        module.graph.eliminate_dead_code()
        module.delete_all_unused_submodules()
        module.recompile()
        return copy.deepcopy(module)


def needs(nodes: Collection[fx.Node], order: Iterable[fx.Node]) -> tuple[list[fx.Node], list[fx.Node]]:
    """What a set of nodes is made of.

    Returns:
        (inside, crossing): the nodes to copy, in order - the set itself, the constants that it uses, and the sizes
        that it asks for, which are asked again on this side; and the tensors that it needs from elsewhere.
    """
    inside, crossing = set(nodes), set()
    queue = [source for node in nodes for source in node.all_input_nodes]
    while queue:
        node = queue.pop()
        if node in inside or node in crossing:
            continue
        if node.op == "get_attr" or fact(node).shape is None:
            inside.add(node)
            queue.extend(node.all_input_nodes)
        else:
            crossing.add(node)
    order = list(order)
    return [n for n in order if n in inside and n.op != "output"], [n for n in order if n in crossing]


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
    chain: Chain, count: int, crossing: list[fx.Node], *, dropped: frozenset[fx.Node] = frozenset()
) -> fx.GraphModule:
    """The whole network with the last `count`-th block's value in place of the later ones' (or without them in a cat).

    Where the tail writes in place into a tensor that crosses the cut, or the network into its input, a copy is made
    first, so that neither the Refine-Net nor the user sees it.
    """
    base = _base_net(chain, count, crossing, dropped, saved=frozenset())
    saved = _written_in_place(base, chain.example, [node.name for node in (chain.lr, *crossing)])
    if not saved:
        return base
    return _base_net(
        chain, count, crossing, dropped, saved=frozenset(n for n in (chain.lr, *crossing) if n.name in saved)
    )


def _base_net(
    chain: Chain, count: int, crossing: list[fx.Node], dropped: frozenset[fx.Node], *, saved: frozenset[fx.Node]
) -> fx.GraphModule:
    side = GraphCopy(dropped=dropped)
    stand_in = last_that_ran(chain.blocks, count)
    result: Env = {}

    def save(nodes: Iterable[fx.Node]) -> None:
        for node in nodes:
            if node in side.env and node not in result:
                copied = side.env[node]
                result[node] = side.graph.call_method("clone", (copied,)) if node in saved else copied

    cut = chain.blocks[count].start
    reached = False
    for node in chain.traced.graph.nodes:
        if node.op == "output":
            break
        if node is cut:  # from here on only the coarse tail runs
            reached = True
            save(crossing)
        if node in stand_in:
            side.env[node] = side.env[stand_in[node]]
        else:
            side.take(node)
            if node is chain.lr and node in saved:
                side.env[node] = side.graph.call_method("clone", (side.env[node],))
        if reached:
            save(crossing)
    outputs = (side.env[chain.sr], *(result[node] for node in crossing))
    return side.finish(chain.traced, outputs, name="BaseNet")


class _Versions(fx.Interpreter):
    """Runs a Base-Net and keeps the named tensors with the version that they had when they were returned."""

    def __init__(self, module: fx.GraphModule, names: list[str]) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.names = names
        self.seen: dict[str, tuple[Tensor, int]] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.name in self.names:
            self.seen[n.name] = (value, value._version)
        return value


def _written_in_place(base: fx.GraphModule, example: Tensor, names: list[str]) -> set[str]:
    interpreter = _Versions(base, names)
    with torch.no_grad():
        interpreter.run(example.clone())
    return {name for name, (value, version) in interpreter.seen.items() if value._version != version}


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


def _attribute(root: nn.Module, target: str) -> Any:
    value: Any = root
    for name in target.split("."):
        value = getattr(value, name)
    return value


def _narrow(conv: Any, channels: list[int], target: str) -> nn.Conv2d:
    if not isinstance(conv, nn.Conv2d) or conv.groups != 1:
        raise CutError(
            f"{target}, after the fusion of all blocks, is a {type(conv).__name__}; style='paper' expects an ungrouped "
            "Conv2d there, whose weights it can slice: use style='continue'"
        )
    narrow = copy.deepcopy(conv)
    narrow.in_channels = len(channels)
    narrow.weight = nn.Parameter(conv.weight.detach()[:, channels].clone(), requires_grad=conv.weight.requires_grad)
    return narrow
