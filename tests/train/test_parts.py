"""What learns: parts by their names, the coarse tail by what depends on it, and modules in the mode to match."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from toys.plain import NETWORKS, build
from toys.trainings import paper_net

import mga_wrap as mga
from mga_wrap.train.parts import coarse_tail, learning, parameters_of

SIDE = 24


@pytest.mark.parametrize("parts", [("base",), ("mask",), ("base", "refine"), ("refine.tail", "mask.conv1")])
def test_only_the_named_parts_learn(parts: tuple[str, ...]) -> None:
    net = paper_net()
    parameters = parameters_of(net, parts, side=SIDE)
    assert set(parameters) == {name for name, _ in net.named_parameters() if name.startswith(parts)}
    before = {name: parameter.requires_grad for name, parameter in net.named_parameters()}
    with learning(net, parameters):
        for name, parameter in net.named_parameters():
            assert parameter.requires_grad == (name in parameters)
    assert before == {name: parameter.requires_grad for name, parameter in net.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("tail", ["copy", "light"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_coarse_tail_changes_the_coarse_image_and_nothing_else(name: str, tail: str) -> None:
    """For every toy network: whatever its tail is called, shared or made of."""
    net = mga.accelerate(build(name, 2), coarse_tail=tail)
    lr = torch.rand(1, 3, 16, 14)
    with torch.no_grad():
        coarse, dense, patched = net(lr, k=0), net(lr, k="dense"), net(lr, k="all")
        found = coarse_tail(net, side=SIDE)
        parameters = dict(net.named_parameters())
        for parameter in found:
            parameters[parameter].add_(0.1)
        assert torch.equal(net(lr, k="dense"), dense)
        assert torch.equal(net(lr, k="all"), patched)
        assert found
        assert not torch.equal(net(lr, k=0), coarse)
    if tail == "light":
        assert found == {name for name in parameters if name.startswith("base.coarse_tail.")}


def test_a_layer_shared_by_body_and_tail_is_not_the_tails() -> None:
    net = mga.accelerate(build("SharedActivation", 2))
    assert not any("act" in name for name in coarse_tail(net, side=SIDE))


def test_finding_the_tail_leaves_the_network_alone() -> None:
    net = mga.accelerate(build("LongSkip", 2)).train()
    net.base.requires_grad_(False)
    coarse_tail(net, side=SIDE)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(parameter.requires_grad for parameter in net.base.parameters())
    assert net.base.training


def test_an_unknown_part_names_the_nearest() -> None:
    with pytest.raises(mga.ArgumentError, match=r"'coarse_tails'; expected one of base, mask, .*did you mean 'coarse_"):
        parameters_of(paper_net(), ("base", "coarse_tails"), side=SIDE)


def test_a_part_that_cannot_learn() -> None:
    with pytest.raises(mga.ArgumentError, match=r"'base.tail.1' of the network has no parameters"):
        parameters_of(paper_net(), ("base.tail.1",), side=SIDE)


class Normalised(nn.Module):
    """Has a batch normalisation and a dropout in its body and in its tail."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Sequential(*[self.block() for _ in range(4)])
        self.tail = nn.Sequential(nn.Conv2d(8, 12, 3, padding=1), nn.BatchNorm2d(12), nn.Dropout(), nn.PixelShuffle(2))

    @staticmethod
    def block() -> nn.Module:
        return nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Dropout())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tail(self.body(self.head(x)))


def test_frozen_normalisations_keep_their_statistics() -> None:
    net = mga.accelerate(Normalised().eval(), split_at=2)
    modes = {name: module.training for name, module in net.named_modules()}
    with learning(net, parameters_of(net, ("coarse_tail",), side=SIDE)):
        training = {name for name, module in net.named_modules() if module.training}
    assert training == {"base.tail", "base.tail.0", "base.tail.1", "base.tail.2", "base.tail.3"}
    assert modes == {name: module.training for name, module in net.named_modules()}
    with learning(net, parameters_of(net, ("base", "mask", "refine"), side=SIDE)):
        assert all(module.training for module in net.modules())
