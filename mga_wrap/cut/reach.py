"""How far a network looks: found by letting a NaN spread, whatever the layers are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx

from mga_wrap.cut.chain import Chain
from mga_wrap.cut.crossing import Interface, interface, map_size
from mga_wrap.cut.trace import GraphRun, Traced, descendants, unchanged
from mga_wrap.nets.layouts import to_map

SIZES = (48, 112)
"""Sides of the maps on which a NaN is let loose: the second only if the first was too small."""


class _Kept(GraphRun):
    """Runs a graph and keeps a copy of every node's tensor."""

    def __init__(self, traced: Traced) -> None:
        super().__init__(traced, keep=True)
        self.kept: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.kept[n] = value.clone() if isinstance(value, Tensor) else value
        return value


def reaches(chain: Chain) -> tuple[list[int | None], int | None]:
    """The receptive field of each block, and of the tail, as pixels of the feature beyond a pixel's own square.

    A value of 2 means: a pixel depends on the 5 x 5 around it. Fields of blocks in a row add up. None: further than
    could be tried, as with an operation over the whole map, which makes refining patches inexact.
    """
    blocks: list[int | None] = [None] * len(chain.blocks)
    tail: int | None = None
    pending = {*range(len(blocks)), -1}
    crosses = interface(chain, 1)
    for size in SIZES:
        chain, kept = _run(chain, size)
        for number in sorted(pending):
            nodes: Iterable[fx.Node]
            if number < 0:
                source, end = chain.blocks[-1].end, chain.sr
                behind = descendants([source])
                nodes = [node for node in chain.traced.graph.nodes if node in behind and node.op != "output"]
            else:
                block = chain.blocks[number]
                source, end, nodes = _input_of(block.start), block.end, block.nodes
            reach = _spread(chain, kept, source, end, nodes, crosses)
            if reach is not None:
                pending.discard(number)
                if number < 0:
                    tail = reach
                else:
                    blocks[number] = reach
        if not pending:
            break
    return blocks, tail


def _run(chain: Chain, size: int) -> tuple[Chain, dict[fx.Node, Any]]:
    like = chain.example
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, like.shape[1], size, size, generator=generator).to(like)
    chain = chain.at(tuple(image.shape))
    run = _Kept(chain.traced)
    with torch.no_grad(), unchanged(chain.traced.model):
        run.run(image)
    return chain, run.kept


def _input_of(node: fx.Node) -> fx.Node:
    return node.all_input_nodes[0]


def _spread(
    chain: Chain, kept: dict[fx.Node, Any], source: fx.Node, end: fx.Node, nodes: Iterable[fx.Node],
    crosses: Interface,
) -> int | None:  # fmt: skip
    """How far the farthest of three NaNs gets; None if that might be farther than the map shows.

    One in the middle alone would jump over the border, unseen, where a dilation is wide (here: 36 and more). Where the
    network works in windows, it matters where in a window a NaN lies: in its corners, and in those of a shifted one.
    """
    nodes = list(nodes)
    layout, multiple = crosses.crossing[0].layout, crosses.multiple
    image = chain.example.shape if chain.sized else kept[chain.lr].shape
    height, width = map_size(source, layout, image) if chain.sized else kept[source].shape[-2:]
    places = [(height // 2, width // 2), (height // 4 + 1, width // 4 + 1), (3 * height // 4 + 2, 3 * width // 4 + 2)]
    if multiple > 1:
        row, col = (side // 2 // multiple * multiple for side in (height, width))
        places += [(row + at, col + at) for at in {0, multiple // 2 - 1, multiple // 2, multiple - 1}]
    reach = 0
    for place in places:
        values = dict(kept)
        values[source] = kept[source].clone()
        to_map(values[source], layout, height, width)[..., place[0], place[1]] = torch.nan  # a view
        value = _again(chain, values, end, nodes)
        if end is not chain.sr:
            value = to_map(value, layout, height, width)
        reach = max(reach, _distance(value, width, place))
    return reach if reach < (min(height, width) - 1) // 2 else None


def _again(chain: Chain, values: dict[fx.Node, Any], end: fx.Node, nodes: list[fx.Node]) -> Tensor:
    """The end's value when the nodes are run again."""
    run = GraphRun(chain.traced)
    with torch.no_grad(), unchanged(chain.traced.model):
        for node in nodes:
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: _fresh(values[n]))
            values[node] = getattr(run, node.op)(node.target, args, kwargs)
    return values[end]


def _distance(value: Tensor, width: int, at: tuple[int, int]) -> int:
    """How far the NaN at (row, col) of a map of that width got, in its pixels."""
    row, col = at
    hit = value.isnan().flatten(0, 1).any(dim=0)  # (s*H, s*W)
    ratio = max(1, hit.shape[-1] // width)
    rows, cols = (hit.any(dim=dim).nonzero().flatten() // ratio for dim in (1, 0))
    if len(rows) == 0:
        return 0
    return max(int(x) for x in (row - rows[0], rows[-1] - row, col - cols[0], cols[-1] - col))


def _fresh(value: Any) -> Any:
    """A copy, so that blocks that write into their input leave the kept values alone."""
    return value.clone() if isinstance(value, Tensor) else value
