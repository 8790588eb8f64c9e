"""The two sides of a network whose graph holds for one size: a graph for each size, when it comes."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from toys.plain import LongSkip
from toys.sized import SIZED, build_sized

from mga_wrap.cut.crossing import Interface, crossing_nodes, interface
from mga_wrap.cut.graphs import LIGHT
from mga_wrap.cut.sized import PLANS, Blueprint, SizedNet, sized_nets
from mga_wrap.errors import CutError
from mga_wrap.graph.chain import Template, find_chain
from mga_wrap.nets.layouts import Crossing
from mga_wrap.nets.light import LightTail


def nets(name: str, *, light: nn.Module | None = None) -> tuple[nn.Module, SizedNet, SizedNet]:
    model = build_sized(name, 2)
    chain = find_chain(model, sized=True)
    return model, *sized_nets(chain, 2, interface(chain, 2), light=light)


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize("size", [(32, 24), (40, 48)])
def test_both_sides_together_are_the_network_at_any_size(name: str, size: tuple[int, int]) -> None:
    model, base, refine = nets(name)
    lr = torch.rand(2, 3, *size)
    with torch.no_grad():
        coarse, *tensors = base(lr.clone())
        expected = model(lr.clone())
        assert coarse.shape == expected.shape
        assert torch.equal(refine(*tensors, dense=True), expected)


def test_a_plan_is_made_once_for_a_size() -> None:
    _, base, _ = nets("PadsToMultiple")
    one = base.plan(torch.rand(1, 3, 20, 28))
    assert base.plan(torch.rand(1, 3, 20, 28)) is one
    assert base.plan(torch.rand(5, 3, 20, 28)) is one  # nothing in it names the number of images
    assert base.plan(torch.rand(1, 3, 20, 29)) is not one
    for side in range(8, 8 + PLANS):
        base.plan(torch.rand(1, 3, side, 8))
    assert len(base._plans) == PLANS
    assert base.plan(torch.rand(1, 3, 20, 28)) is not one  # the longest unused one is gone


def test_a_plan_holds_only_what_is_used() -> None:
    _, base, refine = nets("WindowAttention")
    lr = torch.rand(1, 3, 16, 16)
    for side in (base, refine):
        plan = side.plan(lr)
        used = {node.target for node in plan.graph.nodes if node.op == "get_attr"}
        assert set(plan.constants) <= used


def test_a_copy_makes_plans_of_its_own() -> None:
    _, base, _ = nets("PadsToMultiple")
    lr = torch.rand(1, 3, 20, 28)
    base.plan(lr)
    other = copy.deepcopy(base)
    assert not other._plans
    assert other._lock is not base._lock
    assert other.blueprint is base.blueprint  # which never changes
    with torch.no_grad():
        assert torch.equal(other(lr)[0], base(lr)[0])


def test_a_light_tail_is_a_layer_of_the_base_net() -> None:
    light = LightTail(8, 3, scale=2, zoom=2, depth=1)
    _, base, refine = nets("PadsToMultiple", light=light)
    assert {name.split(".")[0] for name, _ in base.named_parameters()} == {"head", "body", LIGHT}
    assert not any(LIGHT in name for name, _ in refine.named_parameters())
    with torch.no_grad():
        assert base(torch.rand(1, 3, 21, 30))[0].shape == (1, 3, 42, 60)


class AnotherWay(LongSkip):
    """Hands on one tensor more for large images."""

    def forward(self, x: Tensor) -> Tensor:
        large = x.shape[-1] > 40
        first = self.head(x)
        again = first.relu() if large else first
        out = self.body(first) + first
        return self.tail(out + again if large else out)


def test_a_forward_that_hands_on_something_else_at_another_size_is_told() -> None:
    chain = find_chain(AnotherWay(2).eval(), sized=True)
    crosses = Interface(tuple(Crossing(node.name) for node in crossing_nodes(chain, 2)[1]), stride=1, zoom=2)
    blueprint = Blueprint(Template.of(chain), 2, crosses, "base")
    with pytest.raises(CutError, match=r"passes 4 tensors on for an image of \(1, 3, 32, 48\), and 3 for the example"):
        blueprint.plan(torch.rand(1, 3, 32, 48))
