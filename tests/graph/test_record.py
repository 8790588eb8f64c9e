"""Tracing for one size: what a forward may do, written down and run again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional as F
from toys.plain import C, LongSkip, Residual, conv

import mga_wrap as mga
from mga_wrap.graph.calls import Known
from mga_wrap.graph.record import record_blocks
from mga_wrap.graph.trace import fact


class Root(LongSkip):
    """A network whose root does something of its own to the head's feature."""

    def __init__(self, act: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__(2)
        self.act = act
        self.gamma = nn.Parameter(torch.full((1, C, 1, 1), 1.5))
        self.register_buffer("count", torch.tensor(3))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 0 * F.interpolate(
            self.act(self, self.head(x)).mean(1, keepdim=True), scale_factor=2
        )


def loop(root: Root, x: Tensor) -> Tensor:
    """A constant that is written into between two uses."""
    weight = torch.zeros(x.shape[-1])
    for column in range(x.shape[-1]):
        x = x + weight
        weight[column] = column
    return x * weight


def into_constant(root: Root, x: Tensor) -> Tensor:
    """The image written into a tensor that the forward made."""
    canvas = torch.zeros(x.shape[0], C, x.shape[2] + 2, x.shape[3])
    canvas[:, :, 1:-1] = x
    return canvas[:, :, : x.shape[2]]


def view_in_place(root: Root, x: Tensor) -> Tensor:
    """A write through a view, whose result nobody uses."""
    x = x.clone()
    x[:, :2].mul_(3)
    part = x[:, 2:4]
    part += 1
    return x


ACTS = {
    "properties": lambda root, x: x.mT.mT * x.ndim + x.shape[-1] + x.data.real,
    "several results": lambda root, x: torch.cat(x.chunk(2, dim=1)[::-1], 1) + x.max(dim=1, keepdim=True).values,
    "nested lists": lambda root, x: torch.cat([torch.stack([x, x]).sum(0), x[:, [0, 1]]], dim=1)[:, :C],
    "parameters": lambda root, x: x * root.gamma.exp() + root.gamma,
    "a buffer's value": lambda root, x: x * int(root.count),
    "reversed operands": lambda root, x: 1 - (2 / (3 + x.abs())) ** 2,
    "in place": lambda root, x: x.mul_(2).add_(1),
    "like": lambda root, x: x + torch.ones_like(x) + x.new_full((1, 1, 1, 1), 2.0) + torch.zeros(1).type_as(x),
    "shapes of others": lambda root, x: x.flatten(2).view_as(x) + x[:, :1].expand_as(x),
    "control flow": lambda root, x: x if x.size(2) % 2 == 0 else F.pad(x, [0, 0, 0, 1])[:, :, :-1] * 2,
    "meshgrid": lambda root, x: x + sum(torch.meshgrid(*(torch.arange(s) for s in x.shape[2:]), indexing="ij")),
    "loop": loop,
    "into constant": into_constant,
    "view in place": view_in_place,
}


@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("shape", [(1, 3, 16, 12), (2, 3, 9, 7)])
def test_the_graph_computes_what_the_forward_does(name: str, shape: tuple[int, ...]) -> None:
    act = ACTS[name]

    class Shown(Root):
        def forward(self, x: Tensor) -> Tensor:
            return self.act(self, self.head(x))

    torch.manual_seed(0)
    model, lr = Shown(act).eval(), torch.rand(shape)
    traced = record_blocks(model, torch.empty(shape))
    with torch.no_grad():
        expected = model(lr)
        for _ in range(2):  # a graph that writes into its constants would show it the second time
            assert torch.equal(traced.run(lr), expected)
        model.gamma.add_(1)
        assert torch.equal(traced.run(lr), model(lr))  # parameters are looked up, not copied


def test_nothing_fake_stays_in_the_network() -> None:
    class Writes(LongSkip):
        def forward(self, x: Tensor) -> Tensor:
            self.last = self.head(x)
            self.head.seen = self.last
            return super().forward(x)

    class WritesWeights(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            self.weight.data = self.weight.data * 1
            return super().forward(x)

    model = Writes(2).eval()
    model.body[4] = WritesWeights(C, C, 1)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    record_blocks(model, torch.rand(1, 3, 8, 8))
    assert not hasattr(model, "last")
    assert not hasattr(model.head, "seen")
    assert not any(isinstance(value.data, FakeTensor) for value in model.state_dict().values())
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert nn.Module.__call__.__module__ == "torch.nn.modules.module"


def test_a_root_that_writes_into_weights_is_refused() -> None:
    class Writes(LongSkip):
        def forward(self, x: Tensor) -> Tensor:
            self.head.weight.data = self.head.weight.data * 1
            return super().forward(x)

    with pytest.raises(mga.CutError, match="assigns to an attribute of a tensor"):
        record_blocks(Writes(2).eval(), torch.rand(1, 3, 8, 8))


def test_modules_are_nodes_unless_they_are_opened() -> None:
    model, lr = LongSkip(2).eval(), torch.rand(1, 3, 16, 12)

    def calls(opened: set[str]) -> list[str]:
        graph = record_blocks(model, lr, opened=frozenset(opened)).graph
        return [str(node.target) for node in graph.nodes if node.op == "call_module"]

    assert calls(set()) == ["head", "body", "tail"]
    assert calls({"body"}) == ["head", "body.0", "body.1", "body.2", "body.3", "body.4", "tail"]


def test_skipped_modules_are_not_called() -> None:
    model, lr = LongSkip(2).eval(), torch.rand(1, 3, 16, 12)
    seen: list[str] = []
    model.body[0].register_forward_hook(lambda *_: seen.append("called"))
    traced = record_blocks(model, lr, opened=frozenset({"body"}), skipped=frozenset({"body.0"}))
    assert seen == []
    with torch.no_grad():
        assert torch.equal(traced.run(lr), model(lr))


def test_macs_are_counted_at_each_node() -> None:
    traced = record_blocks(LongSkip(2).eval(), torch.rand(1, 3, 16, 12), known=Known())
    macs = {str(node.target): fact(node).macs for node in traced.graph.nodes if node.op == "call_module"}
    assert macs["head"] == 9 * 3 * C * 16 * 12
    assert macs["body"] == 9 * 9 * C * C * 16 * 12


class LooksAtValues(LongSkip):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (2 if x.mean() > 0.5 else 1)


def test_a_forward_that_looks_at_values_is_refused() -> None:
    with pytest.raises(mga.CutError, match=r"depends on the values of the image"):
        mga.accelerate(LooksAtValues(2))


class LookingBlock(Residual):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.mean() > 0.5 else x.relu())


def test_a_block_that_looks_at_values_is_a_block() -> None:
    model = LongSkip(2).eval()
    model.body = nn.Sequential(*[LookingBlock() for _ in range(4)], conv(C, C))
    net, lr = mga.accelerate(model), torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        assert torch.equal(net(lr, k="dense"), model(lr))


def test_threads_of_others_are_left_alone() -> None:
    """While one thread traces, another runs networks of its own."""
    import threading

    other, results = nn.Conv2d(3, 3, 1), []

    class Waits(LongSkip):
        def forward(self, x: Tensor) -> Tensor:
            thread = threading.Thread(target=lambda: results.append(other(torch.rand(1, 3, 4, 4))))
            thread.start()
            thread.join()
            return super().forward(x)

    record_blocks(Waits(2).eval(), torch.rand(1, 3, 8, 8))
    assert len(results) == 1
    assert not isinstance(results[0], FakeTensor)
