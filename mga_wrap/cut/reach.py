"""How far a network looks: found by letting a NaN spread, whatever the layers are made of."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, fx

from mga_wrap.cut.crossing import Interface, interface, map_size
from mga_wrap.cut.operations import Operations
from mga_wrap.graph.chain import Chain
from mga_wrap.graph.trace import GraphRun, Traced, descendants, unchanged
from mga_wrap.nets.layouts import to_map
from mga_wrap.pictures.synthetic import synthetic

SIZES = (48, 80, 112)
"""Sides of the maps on which a NaN is let loose: each only if those before were too small."""
TAIL = -1
"""The number of the tail, among those of the blocks."""

ALIKE = 5e-5
"""Results that differ by less, over their standard deviation, differ by rounding (of coordinates, in a grid_sample)."""


class Inexact(StrEnum):
    """Why no halo makes a part of the network exact on windows."""

    WHOLE = "looks at the whole map, or farther than could be tried"
    PLACE = "depends on where a window begins (as with a stride or a grid inside a block)"


@dataclass(frozen=True)
class _Seen:
    """A network that was run on a map: the tensors of its nodes, and what each block did."""

    chain: Chain
    kept: dict[fx.Node, Any]
    done: dict[fx.Node, Hashable]
    """By node, the operations that it ran; equal for nodes that compute the same with other weights."""

    def kind(self, number: int) -> Hashable:
        """Equal for blocks that do the same with other weights."""
        nodes = self.chain.blocks[number].nodes
        place = {node: index for index, node in enumerate(nodes)}

        def named(value: Any) -> Any:
            return place.get(value, -1) if isinstance(value, fx.Node) else value

        arguments = [repr(fx.node.map_aggregate((node.args, node.kwargs), named)) for node in nodes]
        return tuple((node.op, self.done[node], given) for node, given in zip(nodes, arguments, strict=True))


class _Kept(GraphRun):
    """Runs a graph and keeps a copy of every node's tensor, and the operations that made it."""

    def __init__(self, traced: Traced) -> None:
        super().__init__(traced, keep=True)
        self.kept: dict[fx.Node, Any] = {}
        self.done: dict[fx.Node, Hashable] = {}

    def run_node(self, n: fx.Node) -> Any:
        with Operations() as operations:
            value = super().run_node(n)
        self.done[n] = operations.signature()
        self.kept[n] = value.clone() if isinstance(value, Tensor) else value
        return value


def reaches(chain: Chain) -> tuple[list[int | Inexact], int | Inexact]:
    """The receptive field of each block, and of the tail, as pixels of the feature beyond a pixel's own square.

    A value of 2 means: a pixel depends on the 5 x 5 around it. Fields of blocks in a row add up. No value, but
    `Inexact`: further than could be tried, as with an operation over the whole map; or the result depends on where the
    map begins, as with a stride inside a block. Both make refining patches inexact.

    Of blocks that do the same with other weights only the first is measured.
    """
    crosses = interface(chain, 1)
    seen = _run(chain, SIZES[0])
    kinds = [seen.kind(number) for number in range(len(chain.blocks))]
    parts = [*dict.fromkeys(kinds.index(kind) for kind in kinds), TAIL]
    found: dict[int, int | Inexact] = {}
    for size in SIZES:
        pending = [number for number in parts if number not in found]
        if not pending:
            break
        if size != SIZES[0]:
            seen = _run(chain, size, blocks=None if TAIL in pending else pending[-1] + 1)
        for number in pending:
            part = _part(seen, number, crosses)
            reach = _spread(part)
            if reach is not None:
                found[number] = Inexact.PLACE if _depends_on_place(part, reach) else reach
    return [found.get(kinds.index(kind), Inexact.WHOLE) for kind in kinds], found.get(TAIL, Inexact.WHOLE)


def _run(chain: Chain, size: int, *, blocks: int | None = None) -> _Seen:
    """Run a network on a map of this side, or no more than its head and so many blocks."""
    like = chain.example
    image = synthetic(size, size, channels=like.shape[1]).to(like)
    chain = chain.at(tuple(image.shape))
    run = _Kept(chain.traced)
    with torch.no_grad(), unchanged(chain.traced.model):
        if blocks is None:
            run.run(image)
        else:
            _run_until(run, image, chain.blocks[blocks - 1].end)
    return _Seen(chain, run.kept, run.done)


def _run_until(run: _Kept, image: Tensor, end: fx.Node) -> None:
    run.args_iter = iter([image])
    for node in run.graph.nodes:
        run.env[node] = run.run_node(node)
        if node is end:
            return


def _part(seen: _Seen, number: int, crosses: Interface) -> _Part:
    """A block by its number, or the tail."""
    chain = seen.chain
    if number != TAIL:
        block = chain.blocks[number]
        return _Part(chain, seen.kept, _input_of(block.start), block.end, list(block.nodes), crosses)
    source = chain.blocks[-1].end
    behind = descendants([source])
    nodes = [node for node in chain.traced.graph.nodes if node in behind and node.op != "output"]
    return _Part(chain, seen.kept, source, chain.sr, nodes, crosses)


def _input_of(node: fx.Node) -> fx.Node:
    return node.all_input_nodes[0]


@dataclass(frozen=True)
class _Part:
    """A stretch of the network, and the tensors that it had when the network was run."""

    chain: Chain
    kept: dict[fx.Node, Any]
    source: fx.Node
    end: fx.Node
    nodes: list[fx.Node]
    crosses: Interface

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the source as a map."""
        image = self.kept[self.chain.lr].shape
        if self.chain.sized:
            return map_size(self.source, self.crosses.crossing[0].layout, image)
        height, width = self.kept[self.source].shape[-2:]
        return height, width

    @property
    def zoom(self) -> int:
        """Pixels of the end a side for one of the source."""
        return self.crosses.zoom if self.end is self.chain.sr else 1

    def as_map(self, value: Tensor) -> Tensor:
        """A view of a tensor that lies as the feature does; any other as it is."""
        layout = self.crosses.crossing[0].layout
        alike = self.kept[self.source]
        return to_map(value, layout, *self.size) if value.shape[1:] == alike.shape[1:] else value

    def again(self, values: dict[fx.Node, Any]) -> Tensor:
        """The end's value, as a map, when the nodes are run again on other values."""
        run = GraphRun(self.chain.traced)
        values = {**self.kept, **values}
        with torch.no_grad(), unchanged(self.chain.traced.model):
            for node in self.nodes:
                args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: _fresh(values[n]))
                values[node] = getattr(run, node.op)(node.target, args, kwargs)
        return self.as_map(values[self.end])


def _spread(part: _Part) -> int | None:
    """How far the farthest of some NaNs gets; None if that might be farther than the map shows."""
    height, width = part.size
    reach = 0
    for place in _places(height, width, multiple=part.crosses.multiple):
        value = part.kept[part.source].clone()
        part.as_map(value)[..., place[0], place[1]] = torch.nan  # through the view
        reach = max(reach, _distance(part.again({part.source: value}), part.zoom, place))
        if reach >= (min(height, width) - 1) // 2:
            return None
    return reach


def _places(height: int, width: int, *, multiple: int) -> list[tuple[int, int]]:
    """(row, column) of the pixels where a NaN is let loose.

    One in the middle alone would jump over the border, unseen, where a dilation is wide (here: 36 and more). Where the
    network works in windows, it matters where in a window a NaN lies: in its corners, and in those of a shifted one;
    and it has to start in the middle, since windows that are shifted wrap around.
    """
    if multiple == 1:
        return list(zip(_thirds(height), _thirds(width), strict=True))
    row, col = (side // 2 // multiple * multiple for side in (height, width))
    return [(row + at, col + at) for at in sorted({0, multiple // 2 - 1, multiple // 2, multiple - 1})]


def _thirds(side: int) -> list[int]:
    return [side // 2, side // 4 + 1, 3 * side // 4 + 2]


def _depends_on_place(part: _Part, reach: int) -> bool:
    """Whether a map that lies one pixel (or one window of the network's) further on gives another result there."""
    (height, width), step = part.size, part.crosses.multiple
    outside = {source for node in part.nodes for source in node.all_input_nodes} - set(part.nodes)
    moved = {}
    for node in outside:
        value = part.kept[node]
        if isinstance(value, Tensor):
            value = value.clone()
            view = part.as_map(value)
            if view.ndim == 4 and view.shape[-2] % height == 0 and view.shape[-1] % width == 0:
                by = step * (view.shape[-2] // height)
                view.copy_(view.roll((by, by), (-2, -1)))
            moved[node] = value
    expected = part.again({})  # not what was kept: blocks may write in place, and here they write into copies
    ratio = part.zoom
    inside = slice((reach + step) * ratio, -(reach + step) * ratio)
    expected = expected.roll((step * ratio, step * ratio), (-2, -1))[..., inside, inside]
    difference = part.again(moved)[..., inside, inside] - expected
    return difference.numel() > 0 and bool(difference.abs().max() > ALIKE * expected.std())


def _distance(value: Tensor, ratio: int, at: tuple[int, int]) -> int:
    """How far the NaN at (row, col) of a map got, in its pixels, of which the value has so many a side for each."""
    row, col = at
    hit = value.isnan().flatten(0, 1).any(dim=0)  # (s*H, s*W)
    rows, cols = (hit.any(dim=dim).nonzero().flatten() // ratio for dim in (1, 0))
    if len(rows) == 0:
        return 0
    return max(int(x) for x in (row - rows[0], rows[-1] - row, col - cols[0], cols[-1] - col))


def _fresh(value: Any) -> Any:
    """A copy, so that blocks that write into their input leave the kept values alone."""
    return value.clone() if isinstance(value, Tensor) else value
