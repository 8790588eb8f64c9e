"""Parts of a traced graph, copied: what stands in for what is missing, and what may not be written into."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from toys.plain import NETWORKS, C, LongSkip, build

from mga_wrap.cut.crossing import crossing_nodes
from mga_wrap.cut.graphs import (
    LIGHT,
    GraphCopy,
    add_dense,
    base_net,
    channels_of,
    last_that_ran,
    refine_graph,
    size_of,
    written_in_place,
)
from mga_wrap.errors import CutError
from mga_wrap.graph.chain import Chain, find_chain
from mga_wrap.graph.trace import Traced, fact
from mga_wrap.nets.light import LightTail


def parts(chain: Chain, count: int) -> tuple[nn.Module, nn.Module]:
    inside, crossing = crossing_nodes(chain, count)
    side, _ = refine_graph(chain, inside, crossing)
    add_dense(side)
    return base_net(chain, count, crossing), side.finish(chain.traced, side.env[chain.sr], name="Refine")


@pytest.mark.parametrize("name", NETWORKS)
def test_both_sides_together_are_the_network(name: str) -> None:
    model, lr = build(name, 2), torch.rand(1, 3, 14, 11)
    chain = find_chain(model)
    for count in range(1, len(chain.blocks)):
        base, refine = parts(chain, count)
        with torch.no_grad():
            for how in ({}, {"dense": True}):
                coarse, *tensors = base(lr.clone())  # anew, since blocks may write into what they are given
                assert torch.equal(refine(*tensors, **how), model(lr.clone()))
        assert coarse.shape == (1, 3, 28, 22)


def test_layers_are_copies_and_tied_ones_stay_tied() -> None:
    model = build("TiedBlocks", 2)
    base, refine = parts(find_chain(model), 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for parameter in (*base.parameters(), *refine.parameters()):
            parameter.zero_()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    calls = [node.target for node in base.graph.nodes if node.op == "call_module"]
    assert [call for call in calls if call == "block"] == ["block"] * 2


def test_the_last_block_that_ran_stands_in_for_the_others() -> None:
    chain = find_chain(build("CatFusion", 2))
    stand_in = last_that_ran(chain.blocks, 2)
    for block in chain.blocks[2:]:
        assert stand_in[block.end] is chain.blocks[1].end
        assert {stand_in[node] for node in block.nodes} <= set(chain.blocks[1].nodes)
    assert not {node for block in chain.blocks[:2] for node in block.nodes} & set(stand_in)


def test_a_light_tail_is_called_with_the_feature_and_the_image() -> None:
    chain = find_chain(build("LongSkip", 2))
    light = LightTail(C, 3, scale=2, zoom=2, depth=1)
    base = base_net(chain, 2, crossing_nodes(chain, 2)[1], light=light)
    call = next(node for node in base.graph.nodes if node.target == LIGHT)
    assert [node.op for node in call.args] == ["call_module", "placeholder"]
    assert not any(name.startswith(("tail", "body.2", "body.3", "body.4")) for name, _ in base.named_parameters())
    lr = torch.rand(1, 3, 9, 8)
    with torch.no_grad():
        coarse, feature, _ = base(lr)
        assert torch.equal(coarse, light(feature, lr))


class WritesItsSkip(LongSkip):
    """The tail adds into the head's feature."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.head(x)
        return self.tail(first.add_(self.body(first)))


def test_what_the_tail_writes_into_is_found_by_running_it() -> None:
    chain = find_chain(WritesItsSkip(2))
    crossing = crossing_nodes(chain, 2)[1]
    assert [node.name for node in crossing][1:] == ["head"]
    base = base_net(chain, 2, crossing)
    assert any(node.target == "clone" for node in base.graph.nodes)
    harmless = find_chain(build("LongSkip", 2))
    bare = base_net(harmless, 2, crossing_nodes(harmless, 2)[1])
    assert written_in_place(Traced(bare, bare.graph), chain.example) == frozenset()
    _, refine = parts(chain, 2)
    with torch.no_grad():
        lr = torch.rand(1, 3, 8, 8)
        _, feature, first = base(lr)
        assert torch.equal(first, chain.traced.model.head(lr))
        assert torch.equal(refine(feature, first), chain.traced.model(lr))


def test_a_cat_leaves_out_what_is_dropped_and_notes_the_channels() -> None:
    chain = find_chain(build("CatFusion", 2))
    cat = next(node for node in chain.traced.graph.nodes if node.target is torch.cat)
    side = GraphCopy(dropped=frozenset([chain.blocks[1].end]))
    for node in chain.traced.graph.nodes:
        if node is cat:
            side.take(node)
            break
        if node not in side.dropped:
            side.take(node)
        else:
            side.env[node] = side.env[chain.blocks[0].end]
    assert len(side.env[cat].args[0]) == 3
    assert list(side.narrowed.values()) == [[*range(C), *range(2 * C, 4 * C)]]


def test_channels_and_size_of_a_node() -> None:
    chain = find_chain(build("LongSkip", 2))
    assert size_of(chain.blocks[0].end) == (1, C, 32, 24)
    assert channels_of(chain.sr) == 3
    asks = find_chain(build("AsksForSizes", 2))
    no_tensor = next(node for node in asks.traced.graph.nodes if node.op != "output" and fact(node).shape is None)
    with pytest.raises(CutError, match=r"of shape None, crosses the cut; expected maps \(B, C, H, W\)"):
        size_of(no_tensor)
