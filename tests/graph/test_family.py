"""Which calls are the blocks of a body, on graphs of toys."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from toys.plain import C, ImageAdded, LongSkip, SharedActivation, TwoStepUpsampler, build, conv, shuffle
from toys.sized import build_sized

from mga_wrap.graph.calls import Known
from mga_wrap.graph.family import blocks_of, is_container, largest_closed, largest_family, macs_of, value_of
from mga_wrap.graph.record import record_blocks
from mga_wrap.graph.trace import Traced, fact, trace_blocks


def traced(model: nn.Module, *opened: str) -> Traced:
    return trace_blocks(model.eval(), torch.rand(1, 3, 16, 12), opened=frozenset(opened))


def names(nodes: list) -> list[str]:
    return [str(node.target) for node in nodes]


def test_like_calls_in_a_row_are_a_family() -> None:
    graph = traced(LongSkip(2), "body")
    family = largest_family(graph)
    assert names(family) == ["body.0", "body.1", "body.2", "body.3"]
    assert macs_of(family) == 4 * 2 * 9 * C * C * 16 * 12
    assert largest_family(traced(LongSkip(2))) == []  # the body is one closed module


def test_like_calls_side_by_side_are_no_family() -> None:
    class Branches(LongSkip):
        def forward(self, x: Tensor) -> Tensor:
            x = self.head(x)
            return self.tail(sum(block(x) for block in self.body))

    assert largest_family(traced(Branches(2))) == []


def test_layers_of_other_shapes_are_not_alike() -> None:
    class Layers(LongSkip):
        def __init__(self, second: nn.Module) -> None:
            super().__init__(2)
            self.body = nn.Sequential(conv(C, C), second)

    assert names(largest_family(traced(Layers(conv(C, C)), "body"))) == ["body.0", "body.1"]
    assert largest_family(traced(Layers(conv(C, C, 5)), "body")) == []


def test_what_works_behind_the_upsampler_comes_last() -> None:
    class HeavyTail(LongSkip):
        def __init__(self) -> None:
            super().__init__(2)
            self.tail = nn.Sequential(shuffle(2), conv(3, 3, 41), conv(3, 3, 41))

    graph = traced(HeavyTail(), "body", "tail")
    tail = [node for node in graph.graph.nodes if node.target in ("tail.1", "tail.2")]
    family = largest_family(graph)
    assert macs_of(tail) > macs_of(family)
    assert names(family) == ["body.0", "body.1", "body.2", "body.3"]


def test_containers_are_opened_first_then_the_costliest() -> None:
    class Two(LongSkip):
        def __init__(self) -> None:
            super().__init__(2)
            self.heavy = TwoStepUpsampler(1)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.heavy(x))

    graph = traced(Two())
    assert str(largest_closed(graph, []).target) == "body"
    graph = traced(Two(), "body")
    family = largest_family(graph)
    closed = largest_closed(graph, family)
    assert str(closed.target) == "tail"  # a Sequential, before the costlier module
    assert is_container(graph, closed)
    graph = traced(Two(), "body", "tail")
    assert str(largest_closed(graph, largest_family(graph)).target) == "heavy"


def test_what_lies_between_two_blocks_belongs_to_the_first() -> None:
    graph = traced(SharedActivation(2))
    blocks = blocks_of(graph, largest_family(graph))
    assert [len(block.nodes) for block in blocks] == [4] * 4
    assert all(one.end in two.start.all_input_nodes for one, two in itertools.pairwise(blocks))
    graph = traced(ImageAdded(2))
    blocks = blocks_of(graph, largest_family(graph))
    assert [names(block.nodes) for block in blocks][-1] == ["body.8", "body.9"]  # its like follows the last one too


def test_a_block_that_is_called_again_is_numbered() -> None:
    graph = traced(build("TiedBlocks", 2))
    assert [block.name for block in blocks_of(graph, largest_family(graph))] == [
        "block",
        "block@2",
        "block@3",
        "block@4",
    ]


def test_of_several_values_the_first_goes_on() -> None:
    graph = record_blocks(build_sized("TupleBlocks", 2), torch.rand(1, 3, 16, 12), known=Known())
    family = largest_family(graph)
    assert names(family) == ["block_1", "block_2", "block_3"]
    assert all(fact(node).shape is None and fact(value_of(node)).shape == (1, C, 16, 12) for node in family)
