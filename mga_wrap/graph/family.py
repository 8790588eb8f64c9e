"""Which calls of modules are the blocks of a body, and what belongs to each."""

from __future__ import annotations

import itertools
import operator
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from torch import fx, nn

from mga_wrap.graph.trace import Traced, ancestors, descendants, fact


@dataclass(frozen=True)
class Block:
    """One link of the chain: nodes[0] is a call of the block's module, nodes[-1] its value for the next one."""

    name: str
    nodes: tuple[fx.Node, ...]

    @property
    def start(self) -> fx.Node:
        """The call of the block's module."""
        return self.nodes[0]

    @property
    def end(self) -> fx.Node:
        """The node whose value goes to the next block."""
        return self.nodes[-1]

    @property
    def macs(self) -> int:
        """MACs of the block on the example."""
        return sum(fact(node).macs for node in self.nodes)


def largest_family(traced: Traced) -> list[fx.Node]:
    """The calls of like modules in a chain with the most MACs: at least two of them, or none.

    Those behind an upsampler come last: they may have more MACs than a light body, but belong to the tail.
    """
    families: dict[Hashable, list[fx.Node]] = defaultdict(list)
    for node in traced.graph.nodes:
        if node.op == "call_module" and fact(node).macs and _keeps_shape(node):
            families[_kind(traced, node)].append(node)
    chains = [chain for family in families.values() if len(chain := _in_chain(family)) > 1]
    return max(chains, key=lambda chain: (not _enlarged(traced, chain[0]), macs_of(chain)), default=[])


def _keeps_shape(node: fx.Node) -> bool:
    source = node.args[0] if node.args else None
    return isinstance(source, fx.Node) and fact(source).shape == fact(value_of(node)).shape is not None


def value_of(node: fx.Node) -> fx.Node:
    """What a call hands on: its tensor, or of several the first."""
    if fact(node).shape is not None:
        return node
    first = (user for user in node.users if user.target is operator.getitem and user.args[1] == 0)
    return next(first, node)


def _enlarged(traced: Traced, node: fx.Node) -> bool:
    """The node works behind an upsampler (a body may pad the image, one side to twice its size)."""
    lr = next(iter(traced.graph.nodes))
    shape, image = fact(value_of(node)).shape or (), fact(lr).shape or ()
    if len(shape) != 4:
        return False
    alike = shape[-2] * image[-1] == shape[-1] * image[-2]
    return (alike and shape[-1] >= 2 * image[-1]) or min(shape[-2:]) > 2 * max(image[-2:])


def _kind(traced: Traced, node: fx.Node) -> Hashable:
    """What makes two calls alike: the module's class and the shape; for containers and layers also what is inside."""
    module = traced.module(node)
    inside: tuple[Hashable, ...] = ()
    if isinstance(module, nn.Sequential):
        inside = tuple(type(child).__qualname__ for child in module)
    elif not _has_children(module):
        inside = tuple(tuple(p.shape) for p in module.parameters())
    return type(module), inside, fact(value_of(node)).shape


def _in_chain(family: list[fx.Node]) -> list[fx.Node]:
    """The calls of a family that each depend on the one before."""
    chain: list[fx.Node] = []
    for node in family:
        if not chain or chain[-1] in ancestors(node):
            chain.append(node)
    return chain


def largest_closed(traced: Traced, family: list[fx.Node]) -> fx.Node | None:
    """The next call, outside the family, of a module to open: containers first, then the one with the most MACs."""
    closed = [
        node
        for node in traced.graph.nodes
        if node.op == "call_module" and node not in family and _has_children(traced.module(node))
    ]
    return max(closed, key=lambda node: (bool(family) and is_container(traced, node), fact(node).macs), default=None)


def is_container(traced: Traced, node: fx.Node) -> bool:
    """An nn.Sequential holds nothing back: it is opened wherever it is no block."""
    return isinstance(traced.module(node), nn.Sequential)


def _has_children(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def macs_of(nodes: Iterable[fx.Node]) -> int:
    """MACs of some nodes on the example."""
    return sum(fact(node).macs for node in nodes)


def blocks_of(traced: Traced, family: list[fx.Node]) -> tuple[Block, ...]:
    """Give each block the nodes on its way to the next one (an activation, a residual addition)."""
    gaps = [_between(one, two) for one, two in itertools.pairwise(family)]
    gaps.append(_like(traced, family[-1], gaps[-1]))
    blocks: list[Block] = []
    seen: dict[str, int] = defaultdict(int)
    for node, gap in zip(family, gaps, strict=True):
        name = str(node.target)
        seen[name] += 1
        value = () if value_of(node) in (node, *gap) else (value_of(node),)
        nodes = (node, *value, *gap)
        blocks.append(Block(name=name if seen[name] == 1 else f"{name}@{seen[name]}", nodes=nodes))
    return tuple(blocks)


def _between(one: fx.Node, two: fx.Node) -> tuple[fx.Node, ...]:
    before = ancestors(two)
    between = descendants([one]) & before
    return tuple(node for node in one.graph.nodes if node in between)


def _like(traced: Traced, last: fx.Node, gap: tuple[fx.Node, ...]) -> tuple[fx.Node, ...]:
    """After the last block: the nodes that do what the gap before it does."""
    found: list[fx.Node] = []
    node = last
    for model_node in gap:
        alike = [user for user in node.users if _same_step(traced, user, model_node)]
        if not alike:
            break
        node = alike[0]
        found.append(node)
    return tuple(found)


def _same_step(traced: Traced, one: fx.Node, two: fx.Node) -> bool:
    if one.op != two.op or fact(one).shape != fact(two).shape:
        return False
    if one.op == "call_module":
        return type(traced.module(one)) is type(traced.module(two))
    return one.target == two.target
