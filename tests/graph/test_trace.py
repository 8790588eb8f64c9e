"""Torch.fx's tracer without its patches of `nn.Module`, and the errors of a network that cannot be traced."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from toys.plain import C, LongSkip, build
from toys.sized import SIZED, build_sized

import mga_wrap as mga
from mga_wrap.graph.trace import ExampleError, UntraceableError, fact, trace_blocks


class Root(LongSkip):
    """A network whose root does something of its own to the head's feature."""

    def __init__(self, act: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__(2)
        self.act = act
        self.gamma = nn.Parameter(torch.full((1, C, 1, 1), 1.5))
        self.twin = self.gamma
        self.some = nn.ParameterList([torch.full((1,), 2.0), torch.full((1,), 3.0)])
        self.register_buffer("mean", torch.tensor(0.5))
        self.plain = torch.tensor(0.25)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.body(self.act(self, self.head(x))))


ACTS = {
    "parameters": lambda root, x: x * root.gamma.exp() + root.gamma,
    "tied parameters": lambda root, x: x * root.gamma + root.twin.square(),
    "a list of parameters": lambda root, x: x * root.some[0] + sum(root.some),
    "another module's weight": lambda root, x: F.conv2d(x, root.body[4].weight.flip(0), padding=1),
    "buffers and tensors": lambda root, x: x * root.mean + root.plain,
    "sizes": lambda root, x: F.interpolate(x, size=(x.shape[2], x.size(3))),
    "rounded sizes": lambda root, x: F.adaptive_avg_pool2d(x, (math.ceil(x.shape[2] / 2), math.floor(x.shape[3] / 2))),
}


@pytest.mark.parametrize("name", ACTS)
def test_the_graph_computes_what_the_forward_does_at_every_size(name: str) -> None:
    model = Root(ACTS[name]).eval()
    traced = trace_blocks(model, torch.rand(1, 3, 16, 12))
    for shape in ((1, 3, 16, 12), (2, 3, 10, 14)):
        lr = torch.rand(shape)
        with torch.no_grad():
            assert torch.equal(traced.run(lr), model(lr))
            model.gamma.add_(1)
            model.body[4].weight.mul_(2)
            assert torch.equal(traced.run(lr), model(lr))  # parameters are looked up, not copied
    assert {node.target for node in traced.graph.nodes if node.op == "call_module"} == {"head", "body", "tail"}


def test_parameters_that_nobody_uses_are_no_nodes() -> None:
    nodes = list(trace_blocks(LongSkip(2).eval(), torch.rand(1, 3, 8, 8)).graph.nodes)
    assert [node.op for node in nodes] == [
        "placeholder",
        *["call_module"] * 2,
        "call_function",
        "call_module",
        "output",
    ]
    assert fact(nodes[1]).macs == 9 * 3 * C * 8 * 8


def test_hooks_of_the_network_are_part_of_it() -> None:
    model, lr = LongSkip(2).eval(), torch.rand(1, 3, 8, 8)
    for module in (model, model.body, model.head):
        module.register_forward_hook(lambda module, inputs, output: output * 2)
    with torch.no_grad():
        assert torch.equal(trace_blocks(model, lr, opened=frozenset({"body"})).run(lr), model(lr))


def test_nothing_of_the_tracer_stays() -> None:
    model = Root(ACTS["parameters"]).eval()
    before = [dict(vars(module)) for module in model.modules()]
    trace_blocks(model, torch.rand(1, 3, 8, 8), opened=frozenset({"body"}))
    assert [dict(vars(module)) for module in model.modules()] == before
    with pytest.raises(mga.CutError):
        trace_blocks(Root(lambda root, x: x if x.sum() > 0 else -x), torch.rand(1, 3, 8, 8))
    assert [dict(vars(module)) for module in model.modules()] == before


def test_modules_of_others_may_be_called_while_a_network_is_traced() -> None:
    """Torch.fx's own tracer would say that they are not installed as submodules."""
    other, results, graphs = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()), [], []

    def work() -> None:
        results.append(other(torch.rand(1, 3, 4, 4)))
        graphs.append(trace_blocks(build("CatFusion", 2), torch.rand(1, 3, 8, 8)).graph)

    class Waits(LongSkip):
        def forward(self, x: Tensor) -> Tensor:
            thread = threading.Thread(target=work)
            thread.start()
            thread.join(timeout=60)
            return super().forward(x)

    trace_blocks(Waits(2).eval(), torch.rand(1, 3, 8, 8))
    assert type(results[0]) is Tensor
    assert isinstance(graphs[0], fx.Graph)


@pytest.mark.slow
def test_many_threads_accelerate_at_once_and_others_run_networks() -> None:
    called, looked_up = nn.Module.__call__, nn.Module.__getattr__
    names = ["LongSkip", "CatFusion", "InPlace", "ControlFlow", "PAN", "Tokens", "WindowAttention", "WritesToSelf"]
    lr = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    plain = build("LongSkip", 2)
    models = {name: build_sized(name, 2) if name in SIZED else build(name, 2) for name in names}

    def images(name: str) -> list[Tensor]:
        net = mga.accelerate(models[name], p=8)
        with torch.no_grad():
            return [net(lr.clone(), k=k) for k in (0, "all", "dense")]

    with torch.no_grad():
        expected, plainly = {name: images(name) for name in names}, plain(lr)
    stop = threading.Event()

    def run_others() -> bool:
        while not stop.is_set():
            with torch.no_grad():
                if not torch.equal(plain(lr), plainly):
                    return False
            trained = plain(lr).mean()
            trained.backward()
        return True

    with ThreadPoolExecutor(len(names) + 2) as pool:
        others = [pool.submit(run_others) for _ in range(2)]
        try:
            found = list(pool.map(images, names * 2))
        finally:
            stop.set()
    assert all(other.result() for other in others)
    for name, result in zip(names * 2, found, strict=True):
        assert all(map(torch.equal, result, expected[name])), name
    assert nn.Module.__call__ is called
    assert nn.Module.__getattr__ is looked_up
    assert not nn.modules.module._global_forward_hooks


def test_a_forward_that_asks_a_proxy_is_untraceable() -> None:
    with pytest.raises(
        UntraceableError, match=r"Root cannot be traced at the level of its blocks: symbolically traced"
    ):
        trace_blocks(Root(lambda root, x: x if x.shape[2] % 2 else -x), torch.rand(1, 3, 8, 8))


def test_a_tensor_that_a_forward_makes_may_hang_on_its_buffers() -> None:
    with pytest.raises(UntraceableError, match=r"makes a tensor of its own, of shape \(\)"):
        trace_blocks(Root(lambda root, x: x * (root.mean * 2)), torch.rand(1, 3, 8, 8))


def test_a_forward_that_takes_another_way_for_a_proxy_is_untraceable() -> None:
    model = Root(lambda root, x: x if isinstance(x, Tensor) else x[:, :2]).eval()
    with pytest.raises(UntraceableError, match=r"takes another way for a proxy than for an image, on which that fails"):
        trace_blocks(model, torch.rand(1, 3, 8, 8))
    net, lr = mga.accelerate(model), torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        assert torch.equal(net(lr, k="dense"), model(lr))


def test_a_network_that_fails_on_the_example_is_not_untraceable() -> None:
    with pytest.raises(ExampleError, match=r"LongSkip fails on an image of \(1, 4, 8, 8\): .* give such an image"):
        trace_blocks(LongSkip(2), torch.rand(1, 4, 8, 8))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda x: {"sr": x}, r"returns a dict with 'sr'; expected one image"),
        (lambda x: [x, x], r"returns a list of 2; expected one image"),
        (lambda x: x.mean(dim=(2, 3)), r"returns a tensor of shape \(1, 3\); expected one image"),
    ],
)
def test_a_network_that_returns_no_image_is_not_untraceable(make: Callable[[Tensor], object], text: str) -> None:
    model = LongSkip(2)
    model.register_forward_hook(lambda module, inputs, output: make(output))
    with pytest.raises(mga.CutError, match=text) as caught:
        trace_blocks(model, torch.rand(1, 3, 8, 8))
    assert not isinstance(caught.value, UntraceableError)
