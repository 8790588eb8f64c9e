"""Split a chain into a Base-Net and a Refine-Net, in two styles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import fx, nn

from mga_wrap.cut.crossing import Interface, crossing_nodes, needs, of_maps
from mga_wrap.cut.graphs import CATS, GraphCopy, Split, add_dense, base_net, channels_of, refine_graph, size_of
from mga_wrap.cut.sized import sized_nets
from mga_wrap.errors import CutError
from mga_wrap.graph.chain import Chain
from mga_wrap.graph.trace import descendants, fact
from mga_wrap.nets.layouts import Crossing
from mga_wrap.nets.trim import TrimConvolutions, TrimTail


def split_pretrained(
    chain: Chain, count: int, crosses: Interface, *, halo: int, light: nn.Module | None = None
) -> Split:
    """The Refine-Net is the rest of the user's network; the Base-Net's tail is a copy of the user's.

    Whatever depends on no block after the cut belongs to the Base-Net and crosses the cut at its own resolution.

    Args:
        chain: the network.
        count: blocks in the Base-Net.
        crosses: what crosses the cut, see `interface`.
        halo: ring around each patch; the Refine-Net's output still has it.
        light: a tail for the coarse image, (feature, lr) -> coarse, in place of a copy of the user's.
    """
    base: nn.Module
    refine: nn.Module
    if chain.sized:
        base, refine = sized_nets(chain, count, crosses, light=light)
    else:
        inside, crossing = crossing_nodes(chain, count)
        base = base_net(chain, count, crossing, light=light)
        side, _ = refine_graph(chain, inside, crossing)
        add_dense(side)  # which it does not need: its layers pad windows and maps alike
        refine = side.finish(chain.traced, side.env[chain.sr], name="RefineNet")
    gathered = tuple(replace(one, halo=halo) if one.is_map else one for one in crosses.crossing)
    return Split(base, refine, gathered, zoom=crosses.zoom, trim=halo)


def split_paper(
    chain: Chain,
    count: int,
    *,
    halo: int,
    refine_tail: Callable[[], nn.Module] | None = None,
    refine_block: Callable[[nn.Module], nn.Module] | None = None,
) -> Split:
    """The published layout, for training from scratch (supplement: F_c, Refine-Net; the layers of Tables 2 to 10).

    The feature is what enters the upsampler. The Refine-Net has the blocks after the cut, and a body convolution,
    skips and an upsampler of its own; its skips start at the feature; two more convolutions take the halo off. A cat
    keeps only the inputs that exist on its side, and the convolution after it the weights that belong to them.

    Args:
        chain: the network.
        count: blocks in the Base-Net.
        halo: ring around each patch; the Refine-Net takes it off.
        refine_tail: makes an upsampler that takes the halo off itself (a network may declare one, see PAN's
            `paper_refine_tail`); None: two 3x3 convolutions do, before a copy of the network's own upsampler.
        refine_block: returns a changed copy of a block for the Refine-Net (a network may declare it, see RFDN's
            `paper_refine_block`); None: blocks stay as they are.

    Raises:
        CutError: the network's upsampler or fusion is not of the published form.
    """
    if chain.sized:
        raise CutError(
            f"the forward of {chain.name} depends on the size of the image, or cannot be traced by torch.fx; "
            "style='paper' expects one that holds for every size: use style='pretrained'"
        )
    return _PaperSplit(chain, count, halo=halo).split(refine_tail, refine_block)


class _PaperSplit:
    """A chain in the published layout: which node belongs to which side, then the two sides."""

    def __init__(self, chain: Chain, count: int, *, halo: int) -> None:
        self.chain, self.count, self.halo = chain, count, halo
        self.feature = before_upsampler(chain)
        self.before = _nodes_of(chain, slice(None, count))
        """Blocks of the Base-Net, which the Refine-Net lacks."""
        self.after = _nodes_of(chain, slice(count, None))
        """The other way round."""
        order = list(chain.traced.graph.nodes)
        start, behind = chain.blocks[count].start, descendants([self.feature])
        self.body, body_needs = needs(({start} | descendants([start])) - behind, order)
        self.tail, tail_needs = needs(behind, order)
        shape = fact(self.feature).shape
        self.skips = [node for node in body_needs if node in self.before or fact(node).shape == shape]
        """They start at the feature, where the Refine-Net starts."""
        self.with_halo = [node for node in body_needs if node not in self.skips]
        """They enter before the halo is taken off."""
        later = [node for node in tail_needs if node is not self.feature and node not in self.with_halo]
        self.crossing = [self.feature, *self.with_halo, *later]
        self._check()

    def _check(self) -> None:
        trunk = descendants([self.chain.blocks[0].start])
        if late := [node.name for node in self.crossing[1:] if node in trunk]:
            raise CutError(f"the upsampler also uses {', '.join(late)} of the body; use style='pretrained'")

    def split(self, tail: Callable[[], nn.Module] | None, block: Callable[[nn.Module], nn.Module] | None) -> Split:
        crosses = of_maps(self.chain, self.crossing)
        gathered = tuple(self._gathered(*pair) for pair in zip(self.crossing, crosses.crossing, strict=True))
        base = base_net(self.chain, self.count, self.crossing, dropped=self.after)
        return Split(base, self._refine(tail, block), gathered, zoom=crosses.zoom, trim=0)

    def _gathered(self, node: fx.Node, one: Crossing) -> Crossing:
        halo = self.halo if node is self.feature or node in self.with_halo else 0
        return replace(one, halo=halo) if one.is_map else one

    def _refine(
        self, tail: Callable[[], nn.Module] | None, block: Callable[[nn.Module], nn.Module] | None
    ) -> nn.Module:
        """The Refine-Net: its blocks, then what takes the halo off, then the tail."""
        side = GraphCopy(dropped=self.before)
        entry = side.graph.placeholder(self.feature.name)
        side.env = {node: side.graph.placeholder(node.name) for node in self.crossing[1:]}
        side.env |= dict.fromkeys(self.skips, entry)
        dense = add_dense(side)
        for node in self.body:
            side.take(node)
        more = self._trim(side, dense, tail)
        for node in self.tail:
            if node not in side.env and all(source in side.env for source in node.all_input_nodes):
                side.take(node)
        more |= self._blocks(block)
        return side.finish(self.chain.traced, side.env[self.chain.sr], name="RefineNet", more=more)

    def _trim(self, side: GraphCopy, dense: fx.Node, tail: Callable[[], nn.Module] | None) -> dict[str, nn.Module]:
        """Add the layers that take the halo off; what they return replaces the feature, or the upsampler's image."""
        chain, feature = self.chain, self.feature
        end = side.env.pop(feature)
        name, trim, replaced = "mga_trim", self._trim_convolutions, feature
        if tail is not None:
            behind = descendants([feature])
            shape = fact(chain.sr).shape
            replaced = next(n for n in chain.traced.graph.nodes if n in behind and fact(n).shape == shape)
            name, trim = "mga_tail", lambda: TrimTail(tail(), halo=self.halo)
        side.env[replaced] = side.graph.call_module(name, (end,), {"dense": dense})
        return {name: trim().to(chain.example)}  # its dtype and device

    def _trim_convolutions(self) -> nn.Module:
        return TrimConvolutions(channels_of(self.feature), halo=self.halo)

    def _blocks(self, changed: Callable[[nn.Module], nn.Module] | None) -> dict[str, nn.Module]:
        """By dotted name, the blocks after the cut as the network wants to have them in its Refine-Net."""
        if changed is None:
            return {}
        names = [str(block.start.target) for block in self.chain.blocks[self.count :]]
        return {name: changed(self.chain.traced.model.get_submodule(name)) for name in names}


def _nodes_of(chain: Chain, part: slice) -> frozenset[fx.Node]:
    return frozenset(node for block in chain.blocks[part] for node in block.nodes)


def before_upsampler(chain: Chain) -> fx.Node:
    """F_c of the paper: the last value at the feature's resolution in which the body and its skips come together."""
    last = chain.blocks[-1].end
    behind = descendants([last])
    feature = last
    for node in chain.traced.graph.nodes:
        if node not in behind or fact(node).shape is None or size_of(node)[2:] != size_of(last)[2:]:
            continue
        tensors = [source for source in node.all_input_nodes if source.op != "get_attr" and fact(source).shape]
        if any(source is not last and source not in behind for source in tensors):
            feature = next(iter(node.users)) if node.target in CATS else node
    return feature
