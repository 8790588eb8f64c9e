"""Which blocks are found, under which names, and which nodes belong to them."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from toys.plain import NETWORKS, C, LongSkip, Residual, build, conv
from toys.sized import build_sized

import mga_wrap as mga
from mga_wrap.backbones.pan import PAN
from mga_wrap.errors import CutError
from mga_wrap.graph.chain import find_chain
from mga_wrap.graph.trace import UntraceableError

BLOCKS = {
    "LongSkip": ["body.0", "body.1", "body.2", "body.3"],
    "ImageAdded": ["body.2", "body.4", "body.6", "body.8"],
    "CatFusion": ["B1", "B2", "B3", "B4"],
    "TwoStepUpsampler": ["trunk.0", "trunk.1", "trunk.2"],
    "TransposedTail": ["body.0", "body.1", "body.2"],
    "InPlace": ["body.0", "body.1", "body.2", "body.3"],
    "ControlFlow": ["body.0", "body.1", "body.2", "body.3"],
    "SharedActivation": ["body.0", "body.1", "body.2", "body.3"],
    "TiedBlocks": ["block", "block@2", "block@3", "block@4"],
    "AsksForSizes": ["body.0", "body.1", "body.2"],
    "Wrapped": ["net.body.0", "net.body.1", "net.body.2", "net.body.3"],
    "FSRCNN": ["body.0", "body.1", "body.2", "body.3"],
    "PAN": ["SCPA_trunk.0", "SCPA_trunk.1", "SCPA_trunk.2", "SCPA_trunk.3"],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_blocks_of_each_network(name: str) -> None:
    model = build(name, 4)
    chain = find_chain(model)
    assert [block.name for block in chain.blocks] == BLOCKS[name]
    for block in chain.blocks:  # the names are those of print(model)
        assert model.get_submodule(block.name.split("@")[0]) is not None
    assert chain.scale == 4
    assert chain.name == type(model).__name__


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("LongSkip", ["call_module"]),
        ("ImageAdded", ["call_module", "call_module"]),  # a convolution and its activation
        ("SharedActivation", ["call_module", "call_module", "call_function", "call_function"]),  # conv, act, *, +
    ],
)
def test_what_stands_between_two_blocks_belongs_to_the_first(name: str, operations: list[str]) -> None:
    """The last block, which no other follows, has the same nodes as those before it."""
    for block in find_chain(build(name, 2)).blocks:
        assert [node.op for node in block.nodes] == operations
        assert block.start.target == block.name
        assert block.end is block.nodes[-1]


def test_each_block_ends_where_the_next_begins() -> None:
    for name in NETWORKS:
        blocks = find_chain(build(name, 2)).blocks
        for one, two in itertools.pairwise(blocks):
            assert one.end in two.start.all_input_nodes, name


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_convolutions_behind_the_upsampler_are_never_the_body(scale: int) -> None:
    """Few light blocks: at x4 upconv2 and HRconv2, alike and in a row, cost far more than all of them."""
    chain = find_chain(PAN(scale=scale, nb=2, nf=8, unf=24))
    assert [block.name for block in chain.blocks] == ["SCPA_trunk.0", "SCPA_trunk.1"]


def test_containers_are_opened_only_as_far_as_needed() -> None:
    targets = {
        name: {str(node.target) for node in find_chain(build(name, 2)).traced.graph.nodes if node.op == "call_module"}
        for name in ("LongSkip", "Wrapped", "ControlFlow")
    }
    assert "body.0" in targets["LongSkip"]
    assert "body.0.conv1" not in targets["LongSkip"]
    assert "tail.0" in targets["LongSkip"]  # an nn.Sequential holds nothing back
    assert "net.body.0" in targets["Wrapped"]
    assert "body.1" in targets["ControlFlow"]  # control flow inside a block stays inside


class GroupOfBlocks(nn.Module):
    """A residual group (RCAN): blocks two deep."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.conv = nn.Sequential(Residual(), Residual()), conv(C, C)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(self.blocks(x))


def test_of_groups_and_their_blocks_the_groups_are_the_chain() -> None:
    model = LongSkip(2)
    model.body = nn.Sequential(GroupOfBlocks(), GroupOfBlocks(), GroupOfBlocks(), conv(C, C))
    assert [block.name for block in find_chain(model).blocks] == ["body.0", "body.1", "body.2"]


def test_a_single_group_is_opened() -> None:
    model = LongSkip(2)
    model.body = GroupOfBlocks()
    assert [block.name for block in find_chain(model).blocks] == ["body.blocks.0", "body.blocks.1"]


def test_one_block_is_no_chain() -> None:
    model = LongSkip(2)
    model.body = Residual()
    model.body.conv2 = conv(C, C, 1)  # no two layers alike either
    with pytest.raises(CutError, match=r"found the modules head, body.conv1, .*at least two like blocks"):
        find_chain(model)


def test_the_family_with_the_most_macs_wins() -> None:
    class TwoFamilies(LongSkip):
        def __init__(self) -> None:
            super().__init__(2)
            self.light = nn.ModuleList([conv(C, C, 1) for _ in range(6)])

        def forward(self, x: Tensor) -> Tensor:
            x = self.head(x)
            for layer in self.light:
                x = layer(x)
            return self.tail(self.body(x) + x)

    assert [block.name for block in find_chain(TwoFamilies()).blocks] == BLOCKS["LongSkip"]


def test_the_graph_is_made_of_copies() -> None:
    model = build("LongSkip", 2).train()
    chain = find_chain(model)
    own = {value.data_ptr() for value in model.state_dict().values()}
    assert not own & {value.data_ptr() for value in chain.traced.model.state_dict().values()}
    assert model.training
    assert not any(module.training for module in chain.traced.model.modules() if list(module.parameters(recurse=False)))


def test_the_example_is_fixed_and_the_callers_random_state_stays() -> None:
    before = torch.random.get_rng_state()
    one, two = (find_chain(build("LongSkip", 2)).example for _ in range(2))
    assert one.shape == (1, 3, 32, 24)
    assert torch.equal(one, two)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_example_of_the_users_is_not_written_into() -> None:
    example = torch.rand(1, 3, 16, 16)
    before = example.clone()
    find_chain(build("InPlace", 2), example=example)  # its forward doubles its input in place
    assert torch.equal(example, before)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"split_at": "bodi.1"}, "got split_at='bodi.1'"),
        ({"example": torch.rand(1, 4, 16, 16)}, "fails on an image"),
    ],
)
def test_a_mistake_is_no_reason_to_trace_again(
    wrong: dict[str, object], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mga_wrap.graph.chain.record_blocks", lambda *_, **__: pytest.fail("traced again"))
    with pytest.raises(CutError, match=text):
        mga.accelerate(build("LongSkip", 2), **wrong)
    with pytest.raises(CutError, match="no chain of body blocks"):
        find_chain(nn.Sequential(conv(3, C), nn.ReLU(), conv(C, 3)))


def test_a_failed_check_does_not_end_in_a_graph_for_one_size() -> None:
    class Counts(LongSkip):
        """What it returns depends on how often it was called."""

        def forward(self, x: Tensor) -> Tensor:
            self.calls = getattr(self, "calls", 0) + 1
            return super().forward(x) * self.calls

    with pytest.raises(CutError, match="does not return what the original does"):
        mga.accelerate(Counts(2))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_holds_for_every_size_where_it_can(name: str) -> None:
    assert not find_chain(build(name, 2)).sized


@pytest.mark.parametrize("name", ["PadsToMultiple", "WritesToSelf", "WindowAttention"])
def test_what_torch_fx_cannot_trace_is_recorded(name: str) -> None:
    with pytest.raises(UntraceableError):
        find_chain(build_sized(name, 2), sized=False)
    assert find_chain(build_sized(name, 2)).sized
