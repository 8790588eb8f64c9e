"""What crosses a cut: which tensors, how they lie in memory, and their resolution."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from torch import fx

from mga_wrap.errors import CutError
from mga_wrap.graph.chain import GROWTH, Chain
from mga_wrap.graph.trace import UntraceableError, ancestors, descendants, fact
from mga_wrap.nets.layouts import AN_IMAGE, SHARED, Layout


@dataclass(frozen=True)
class Crossing:
    """One tensor that crosses the cut."""

    layout: Layout
    ratio: int
    """Its pixels a side for one of the feature, or `AN_IMAGE`, or `SHARED`."""


@dataclass(frozen=True)
class Interface:
    """All that crosses the cut, the feature first."""

    crossing: tuple[Crossing, ...]
    stride: int
    """Pixels of lr a side for one of the feature."""
    zoom: int
    """Pixels of sr a side for one of the feature."""
    multiple: int = 1
    """The feature's sides are a multiple of this, since the network pads the image or takes no other sides; windows
    have to be one."""
    spare: int = 0
    """Pixels of lr, right and below, that a window is short of its feature: a network may pad whatever it is given."""


def crossing_nodes(chain: Chain, count: int) -> tuple[list[fx.Node], list[fx.Node]]:
    """Cut a chain after `count` blocks.

    Returns:
        (inside, crossing): the nodes of the Refine-Net in order; what they need from before, the feature first. A
        graph for one size also needs lr, whose shape says which size that is; it comes last then.
    """
    start, feature = chain.blocks[count].start, chain.blocks[count - 1].end
    inside, others = needs({start} | descendants([start]), chain.traced.graph.nodes)
    crossing = [feature, *(node for node in others if node is not feature)]
    if chain.sized:
        crossing = [*(node for node in crossing if node is not chain.lr), chain.lr]
    return inside, crossing


def needs(nodes: Collection[fx.Node], order: Iterable[fx.Node]) -> tuple[list[fx.Node], list[fx.Node]]:
    """What a set of nodes is made of.

    Returns:
        (inside, crossing): the nodes to copy, in order - the set itself, what it uses that does not come from the
        image, and the sizes that it asks for, which are asked again on this side; and the tensors that it needs from
        elsewhere.
    """
    order = list(order)
    lr = next(node for node in order if node.op == "placeholder")
    of_image = {lr} | descendants([lr])
    inside, crossing = set(nodes), set()
    queue = [source for node in nodes for source in node.all_input_nodes]
    while queue:
        node = queue.pop()
        if node in inside or node in crossing:
            continue
        if node not in of_image or fact(node).shape is None:
            inside.add(node)
            queue.extend(node.all_input_nodes)
        else:
            crossing.add(node)
    return [n for n in order if n in inside and n.op != "output"], [n for n in order if n in crossing]


def interface(chain: Chain, count: int) -> Interface:
    """Find out how everything that crosses the cut after `count` blocks lies in memory.

    Raises:
        CutError: something crosses that cannot be gathered in windows.
    """
    nodes = crossing_nodes(chain, count)[1]
    if not chain.sized:
        return of_maps(chain, nodes)
    height, width = chain.example.shape[-2:]
    others = [crossing_nodes(other, count)[1] for other in chain.grown]
    if any(len(other) != len(nodes) for other in others):
        raise CutError("other tensors cross the cut for images of another size; cut at another block")
    layouts = [_layout(*same) for same in zip(nodes, *others, strict=True)]
    sizes = [map_size(*pair, chain.example.shape) for pair in zip(nodes, layouts, strict=True)]
    down = [map_size(*pair, chain.grown[0].example.shape)[0] for pair in zip(others[0], layouts, strict=True)]
    across = [map_size(*pair, chain.grown[1].example.shape)[1] for pair in zip(others[1], layouts, strict=True)]
    growth = [(d - size[0], a - size[1]) for d, a, size in zip(down, across, sizes, strict=True)]
    if min(growth[0]) < 1:
        raise CutError("the feature does not grow with the image; cut at another block")
    stride = round(GROWTH / growth[0][0])
    if stride < 1:
        raise CutError("the blocks work on an enlarged image, where a Refine-Net saves nothing; expected blocks at lr")
    crossing = [
        Crossing(layout, _NO_MAP[layout] if layout in _NO_MAP else round(more_rows / growth[0][0]))
        for layout, (more_rows, _) in zip(layouts, growth, strict=True)
    ]
    for node, one, size in zip(nodes, crossing, sizes, strict=True):
        _check_size(node, one, size, sizes[0], (height, width), stride)
    multiple, spare = _padding(chain, count, layouts[0], stride)
    return Interface(tuple(crossing), stride, chain.scale * stride, multiple, spare)


def _padding(chain: Chain, count: int, layout: Layout, stride: int) -> tuple[int, int]:
    """(multiple, spare) of an `Interface`."""
    if chain.step > 1:
        return max(1, chain.step // stride), 0

    def side(lr: int) -> int:
        shape = (*chain.example.shape[:2], lr, lr)
        return map_size(chain.at(shape).blocks[count - 1].end, layout, shape)[0]

    odd = (GROWTH + 1) * stride
    if (one := side(odd)) == GROWTH + 1:
        return 1, 0
    multiple = side((one + 1) * stride) - one
    return multiple, int(side(one * stride) != one == side(one * stride - 1))


def feature_channels(chain: Chain, count: int, crosses: Interface) -> int:
    """C of the feature after `count` blocks."""
    shape = fact(chain.blocks[count - 1].end).shape or ()
    return shape[CHANNELS[crosses.crossing[0].layout]]


def map_size(node: fx.Node, layout: Layout, image: tuple[int, ...]) -> tuple[int, int]:
    """(height, width) of a node's tensor as a map, for an image (B, C, H, W).

    Rows of pixels do not tell their height. It is that of the nearest map before them with as many pixels.
    """
    shape = fact(node).shape
    assert shape is not None
    if layout in ("image", "shared"):
        return 1, 1
    if layout in ("map", "last"):
        first = 2 if layout == "map" else 1
        return shape[first], shape[first + 1]
    pixels = shape[1] if layout == "tokens" else shape[2]
    slope = image[-2] / image[-1]
    fitting = [pair for pair in _sides_before(node) if pair[0] * pair[1] == pixels]
    if not fitting:
        raise CutError(
            f"{node.name}, of shape {shape}, crosses the cut, and no map of {pixels} pixels comes before it; expected "
            "rows of pixels that were a map. Cut at another block."
        )
    return min(fitting, key=lambda pair: abs(math.log(pair[0] / pair[1] / slope)))


def _sides_before(node: fx.Node) -> list[tuple[int, int]]:
    """What may be height and width of the maps that a node's value comes from."""
    shapes = [fact(before).shape for before in ancestors(node)]
    maps = [shape for shape in shapes if shape is not None and len(shape) == 4]
    return [pair for shape in maps for pair in ((shape[2], shape[3]), (shape[1], shape[2]))]


def _layout(node: fx.Node, taller: fx.Node, wider: fx.Node, more: fx.Node) -> Layout:
    """Which sides of a tensor grow with the height, the width and the number of images says how it lies."""
    shape = fact(node).shape or ()
    by_height, by_width, by_images = (_grown(shape, fact(other).shape or ()) for other in (taller, wider, more))
    if not by_height | by_width and by_images in (set(), {0}):
        return "image" if by_images else "shared"
    if by_images == {0}:
        for layout, rank, height, width in _LAYOUTS:
            if len(shape) == rank and by_height == {height} and by_width == {width}:
                return layout
    raise CutError(
        f"{node.name}, of shape {shape}, crosses the cut; expected a map (B, C, H, W), (B, H, W, C) or rows of pixels "
        "(B, H*W, C). Cut at another block."
    )


_LAYOUTS: tuple[tuple[Layout, int, int, int], ...] = (
    ("map", 4, 2, 3),
    ("last", 4, 1, 2),
    ("tokens", 3, 1, 1),
    ("rows", 3, 2, 2),
)
"""Each layout's number of dimensions, and which of them are its height and width."""
CHANNELS: dict[Layout, int] = {"map": 1, "last": 3, "tokens": 2, "rows": 1}
"""Where the channels of each layout are."""
_NO_MAP: dict[Layout, int] = {"image": AN_IMAGE, "shared": SHARED}


def _grown(one: tuple[int, ...], two: tuple[int, ...]) -> set[int]:
    if len(one) != len(two):
        return {-1}
    return {place for place, (a, b) in enumerate(zip(one, two, strict=True)) if a != b}


def _check_size(
    node: fx.Node,
    crossing: Crossing,
    size: tuple[int, int],
    feature: tuple[int, int],
    image: tuple[int, int],
    stride: int,
) -> None:
    """A map lies over the feature pixel by pixel if it is as large, or not yet padded as the feature is."""
    if crossing.layout in _NO_MAP:
        return
    ratio = crossing.ratio
    whole = all(side == ratio * of for side, of in zip(size, feature, strict=True))
    unpadded = all(side * stride == ratio * of for side, of in zip(size, image, strict=True))
    if ratio < 1 or not (whole or unpadded) or any(a * stride < b for a, b in zip(feature, image, strict=True)):
        raise CutError(
            f"{node.name} crosses the cut at {size[0]} x {size[1]}, the feature is {feature[0]} x {feature[1]} for an "
            f"image of {image[0]} x {image[1]}; expected a whole multiple of the feature's sides. Cut at another block."
        )


def of_maps(chain: Chain, nodes: list[fx.Node]) -> Interface:
    """Of a graph for every size: maps (B, C, H, W), whose sides are whole multiples of the feature's."""
    shapes = [fact(node).shape or () for node in nodes]
    image = chain.example.shape
    crossing = []
    height, width = shapes[0][-2:]
    sides = chain.scale * image[-2], chain.scale * image[-1]
    if sides[0] % height or sides[1] % width or sides[0] // height != sides[1] // width:
        raise UntraceableError(
            f"{nodes[0].name}, the feature, has the shape {shapes[0]} for an image of {tuple(image)}; expected a map "
            "(B, C, H, W) of which sr is a whole multiple"
        )
    for node, shape in zip(nodes, shapes, strict=True):
        if len(shape) != 4 or shape[0] != image[0]:
            raise UntraceableError(
                f"{node.name}, of shape {shape}, crosses the cut; expected maps (B, C, H, W). Cut at another block."
            )
        if shape[2:] == (1, 1) != (height, width):
            crossing.append(Crossing("image", AN_IMAGE))
            continue
        if shape[2] % height or shape[3] % width or shape[2] // height != shape[3] // width:
            raise UntraceableError(
                f"{node.name} crosses the cut at {shape[2]} x {shape[3]}, the feature is {height} x {width}; expected "
                "a whole multiple of the feature's sides. Cut at another block."
            )
        crossing.append(Crossing("map", shape[2] // height))
    stride = max(1, image[-2] // height)
    return Interface(tuple(crossing), stride, sides[0] // height, max(1, chain.step // stride))
