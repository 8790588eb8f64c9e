"""in_eval_mode: the same answers as .eval(), and nothing seen on the network that is given."""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Callable
from types import MethodType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.errors import ArgumentError
from mga_wrap.infer.eval_mode import in_eval_mode


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.Dropout(), nn.PixelShuffle(2))
    net(torch.rand(2, 3, 8, 8))  # statistics that differ from any batch's
    return net


def bound_forward(net: nn.Sequential) -> nn.Module:
    """As accelerate and some wrappers do: a method of the instance in place of the class's."""
    net.forward = MethodType(nn.Sequential.forward, net)  # type: ignore[method-assign]
    return net


def old_weight_norm(net: nn.Sequential) -> nn.Module:
    nn.utils.weight_norm(net[0])
    net(torch.rand(1, 3, 8, 8))  # the weight is now a plain tensor with a gradient's history
    return net


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "plain": network,
    "bound forward": lambda: bound_forward(network()),
    "old weight_norm": lambda: old_weight_norm(network()),
    "parametrized": lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(network()[0]), *network()[1:]),
    "script": lambda: torch.jit.script(network()),
    "fx": lambda: torch.fx.symbolic_trace(network()),
    "compiled": lambda: torch.compile(network(), backend="eager"),
    "data parallel": lambda: nn.DataParallel(network()),
    "MGANet": lambda: accelerate(create_backbone("fsrcnn", scale=2), style="paper").train(),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NETWORKS)
def test_it_answers_like_eval_and_the_given_one_does_not_change(name: str) -> None:
    net = NETWORKS[name]()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    lr = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        answer = in_eval_mode(net)(lr)
    assert all(module.training for module in net.modules())
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    net.eval()
    with torch.no_grad():
        torch.testing.assert_close(answer, net(lr), rtol=0, atol=0)


def test_a_network_in_eval_mode_is_taken_as_it_is() -> None:
    net = network().eval()
    assert in_eval_mode(net) is net
    net[1].train()  # one part is enough
    assert in_eval_mode(net) is not net


def test_weights_are_shared_and_changes_between_two_calls_are_seen() -> None:
    net = network()
    twin = in_eval_mode(net)
    assert [id(p) for p in twin.parameters()] == [id(p) for p in net.parameters()]
    assert [id(b) for b in twin.buffers()] == [id(b) for b in net.buffers()]
    lr = torch.rand(1, 3, 8, 8)
    net[0].weight = nn.Parameter(torch.zeros_like(net[0].weight))
    net[1].eps = 0.5
    with torch.no_grad():
        torch.testing.assert_close(in_eval_mode(net)(lr), copy.deepcopy(net).eval()(lr), rtol=0, atol=0)


class Merges(nn.Conv2d):
    """Adds a delta to its weight when it goes into eval mode, as LoRA layers do."""

    def train(self, mode: bool = True) -> Merges:
        if self.training and not mode:
            self.weight.data += 1
        return super().train(mode)


def test_weights_that_eval_would_merge_are_left_alone() -> None:
    net = Merges(3, 3, 1)
    before = net.weight.clone()
    assert not in_eval_mode(net).training
    assert torch.equal(net.weight, before)


class Watcher:
    """Remembers what a layer returned, by a hook that is its method."""

    def __init__(self) -> None:
        self.shapes: list[torch.Size] = []

    def hook(self, module: nn.Module, given: Any, returned: Tensor) -> Tensor:
        self.shapes.append(returned.shape)
        return returned * 0


def test_hooks_work_and_their_owner_outside_is_reached() -> None:
    net, watcher = network(), Watcher()
    net[0].register_forward_hook(watcher.hook)
    net[3].register_forward_hook(lambda module, given, returned: returned + 7)
    with torch.no_grad():
        answer = in_eval_mode(net)(torch.rand(1, 3, 8, 8))
    assert watcher.shapes == [(1, 12, 8, 8)]
    expected = copy.deepcopy(network()).eval()[1](torch.zeros(1, 12, 8, 8))
    torch.testing.assert_close(answer, nn.functional.pixel_shuffle(expected, 2) + 7, rtol=0, atol=0)


def test_copies_do_not_pile_up() -> None:
    twin = in_eval_mode(network())
    gone = weakref.ref(twin)
    del twin
    assert gone() is None


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        (
            {"lock": threading.Lock()},
            r"got Sequential in train mode, of which no copy in eval mode can be made \(cannot",
        ),
        ({"forward": lambda lr: lr}, "got Sequential in train mode with a function in place of a forward"),
    ],
    ids=["lock", "function"],
)
def test_what_cannot_be_copied_is_told_what_to_do(attribute: dict[str, Any], text: str) -> None:
    net = network()
    vars(net).update(attribute)
    with pytest.raises(ArgumentError, match=text + ".*; call model.eval\\(\\) first"):
        in_eval_mode(net)
    assert in_eval_mode(net.eval()) is net
