"""Split a chain into a Base-Net and a Refine-Net, in two styles."""

from __future__ import annotations

from collections.abc import Callable

from torch import fx, nn

from mga_wrap.cut.crossing import Interface, crossing_nodes, needs, of_maps
from mga_wrap.cut.graphs import CATS, GraphCopy, Split, base_net, channels_of, refine_graph, size_of
from mga_wrap.cut.sized import sized_nets
from mga_wrap.errors import CutError
from mga_wrap.graph.chain import Chain
from mga_wrap.graph.trace import descendants, fact
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
        refine = side.finish(chain.traced, side.env[chain.sr], name="RefineNet")
    return Split(
        base=base,
        refine=refine,
        halos=(halo,) * len(crosses.crossing),
        ratios=tuple(crossing.ratio for crossing in crosses.crossing),
        zoom=crosses.zoom,
        trim=halo,
    )


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
    order = list(chain.traced.graph.nodes)
    feature = before_upsampler(chain)
    start, tail = chain.blocks[count].start, descendants([feature])
    body = ({start} | descendants([start])) - tail
    in_body, body_needs = needs(body, order)
    in_tail, tail_needs = needs(tail, order)
    own = frozenset(node for block in chain.blocks[:count] for node in block.nodes)
    trunk = descendants([chain.blocks[0].start])
    skips = [n for n in body_needs if n in own or fact(n).shape == fact(feature).shape]
    body_needs = [n for n in body_needs if n not in skips]
    tail_needs = [n for n in tail_needs if n is not feature]
    if late := [n.name for n in (*body_needs, *tail_needs) if n in trunk]:
        raise CutError(f"the upsampler also uses {', '.join(late)} of the body; use style='pretrained'")
    crossing = [feature, *body_needs, *(n for n in tail_needs if n not in body_needs)]
    crosses = of_maps(chain, crossing)

    side = GraphCopy(dropped=own)
    entry = side.graph.placeholder(feature.name)
    side.env = {node: side.graph.placeholder(node.name) for node in crossing[1:]}
    side.env |= dict.fromkeys(skips, entry)  # a skip of its own starts where the Refine-Net starts
    valid = side.graph.placeholder("valid")
    for node in in_body:
        side.take(node)
    more = _trim(chain, side, feature, valid, halo=halo, refine_tail=refine_tail)
    for node in in_tail:
        if node not in side.env and all(source in side.env for source in node.all_input_nodes):
            side.take(node)
    more |= _refine_blocks(chain, count, refine_block)
    later = frozenset(node for block in chain.blocks[count:] for node in block.nodes)
    return Split(
        base=base_net(chain, count, crossing, dropped=later),
        refine=side.finish(chain.traced, side.env[chain.sr], name="RefineNet", more=more),
        halos=(halo, *(halo if node in body_needs else 0 for node in crossing[1:])),
        ratios=tuple(one.ratio for one in crosses.crossing),
        zoom=crosses.zoom,
        trim=0,
    )


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


def _trim(
    chain: Chain,
    side: GraphCopy,
    feature: fx.Node,
    valid: fx.Node,
    *,
    halo: int,
    refine_tail: Callable[[], nn.Module] | None,
) -> dict[str, nn.Module]:
    """Add the layers that take the halo off; what they return replaces the feature, or the upsampler's image."""
    end = side.env.pop(feature)
    if refine_tail is None:
        side.env[feature] = side.graph.call_module("mga_trim", (end, valid))
        return {"mga_trim": TrimConvolutions(channels_of(feature), halo=halo).to(chain.example)}  # its dtype, device
    behind = descendants([feature])
    image = next(
        node for node in chain.traced.graph.nodes if node in behind and fact(node).shape == fact(chain.sr).shape
    )
    side.env[image] = side.graph.call_module("mga_tail", (end, valid))
    return {"mga_tail": TrimTail(refine_tail(), halo=halo).to(chain.example)}


def _refine_blocks(
    chain: Chain, count: int, refine_block: Callable[[nn.Module], nn.Module] | None
) -> dict[str, nn.Module]:
    """By dotted name, the blocks after the cut as the network wants to have them in its Refine-Net."""
    if refine_block is None:
        return {}
    names = [str(block.start.target) for block in chain.blocks[count:]]
    return {name: refine_block(chain.traced.model.get_submodule(name)) for name in names}
