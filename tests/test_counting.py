from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mga_wrap.backbones import FSRCNN, PAN
from mga_wrap.counting import count_activations, count_macs, count_parameters, macs_by_module
from mga_wrap.errors import ArgumentError


def tensor(*shape: int, device: str) -> torch.Tensor:
    return torch.ones(shape, device=device)


class Call(nn.Module):
    """Any function as a module."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(*inputs)


# name: module, shapes of its inputs, plain MACs by hand, MACs in the paper's convention by hand
CASES = {
    "conv": (nn.Conv2d(3, 5, 3, padding=1), [(2, 3, 6, 7)], 2 * 6 * 7 * 9 * 3 * 5, 2 * 6 * 7 * 9 * 3 * 5),
    "conv stride": (nn.Conv2d(3, 5, (3, 1), stride=2), [(1, 3, 7, 7)], 3 * 4 * 3 * 15, 3 * 4 * 3 * 15),
    "conv groups": (nn.Conv2d(6, 4, 3, groups=2), [(1, 6, 5, 5)], 9 * 9 * 3 * 4, 9 * 9 * 3 * 4),
    "deconv": (nn.ConvTranspose2d(6, 3, 9, 3, 4, 2), [(1, 6, 5, 4)], 20 * 81 * 18, 9 * 20 * 81 * 18),
    "deconv groups": (nn.ConvTranspose2d(6, 4, 2, 2, groups=2), [(1, 6, 5, 4)], 20 * 4 * 12, 4 * 20 * 4 * 12),
    "F.conv2d": (Call(F.conv2d), [(2, 6, 7, 9), (4, 6, 3, 3)], 2 * 5 * 7 * 9 * 24, 0),
    "linear": (nn.Linear(5, 7), [(2, 3, 5)], 2 * 3 * 35, 0),
    "matmul": (Call(torch.matmul), [(2, 4, 3, 5), (2, 4, 5, 7)], 8 * 3 * 5 * 7, 0),
    "matrix by vector": (Call(torch.matmul), [(2, 3, 5), (5,)], 2 * 3 * 5, 0),
    "dot": (Call(torch.dot), [(5,), (5,)], 5, 0),
    "addmv": (Call(torch.addmv), [(3,), (3, 5), (5,)], 15, 0),
    "addbmm": (Call(torch.addbmm), [(3, 7), (2, 3, 5), (2, 5, 7)], 210, 0),
    "einsum": (Call(lambda x, w: torch.einsum("bchw,cd->bdhw", x, w)), [(2, 3, 5, 7), (3, 4)], 2 * 35 * 12, 0),
    "attention": (
        Call(F.scaled_dot_product_attention),
        [(2, 4, 16, 8), (2, 4, 9, 8), (2, 4, 9, 8)],
        2 * 8 * 16 * 9 * 8,
        0,
    ),
    "encoder": (
        nn.TransformerEncoderLayer(8, 2, 12, batch_first=True, dropout=0.0).eval(),
        [(2, 16, 8)],
        2 * 16 * (4 * 64 + 2 * 8 * 12) + 2 * 2 * 16 * 16 * 8,
        0,
    ),
    "relu": (nn.ReLU(), [(2, 3, 4, 5)], 0, 120),
    "leaky relu": (nn.LeakyReLU(inplace=True), [(2, 3, 4, 5)], 0, 120),
    "prelu": (nn.PReLU(3), [(2, 3, 4, 5)], 0, 120),
    "free of charge": (
        nn.Sequential(nn.Sigmoid(), nn.AvgPool2d(2), nn.GELU(), nn.PixelShuffle(2)),
        [(1, 4, 4, 4)],
        0,
        0,
    ),
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("case", CASES)
def test_counts_equal_the_hand_computed(case: str, device: str) -> None:
    module, shapes, plain, paper = CASES[case]
    module = copy.deepcopy(module).to(device)
    inputs = [tensor(*shape, device=device) for shape in shapes]
    assert count_macs(module, *inputs) == plain
    assert count_macs(module, *inputs, convention="paper") == paper


ACTIVATIONS = {
    "conv": 2 * 5 * 42,
    "conv stride": 5 * 12,
    "conv groups": 4 * 9,
    "deconv": 3 * 9 * 20,
    "F.conv2d": 2 * 4 * 35,
    "linear": 0,
    "attention": 0,
    "relu": 0,
    "free of charge": 0,
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("case", ACTIVATIONS)
def test_activations_are_what_convolutions_put_out(case: str, device: str) -> None:
    module, shapes, *_ = CASES[case]
    inputs = [tensor(*shape, device=device) for shape in shapes]
    assert count_activations(copy.deepcopy(module).to(device), *inputs) == ACTIVATIONS[case]


@pytest.mark.parametrize(("scale", "macs"), [(2, 64_024), (3, 132_064), (4, 227_320)])
def test_fsrcnn_costs_what_the_paper_says(scale: int, macs: int) -> None:
    net = FSRCNN(scale=scale, m=3)
    lr = torch.empty(1, 3, 10, 12, device="meta")
    assert count_macs(net.to("meta"), lr, convention="paper") == 120 * macs
    assert count_parameters(net) == 23_363


@pytest.mark.parametrize(
    ("scale", "macs", "parameters"), [(2, 249_624, 203_723), (3, 325_104, 203_723), (4, 433_272, 214_739)]
)
def test_pan_costs_what_the_paper_says(scale: int, macs: int, parameters: int) -> None:
    net = PAN(scale=scale, nb=12).to("meta")
    lr = torch.empty(1, 3, 10, 12, device="meta")
    assert count_macs(net, lr, convention="paper") == 120 * macs
    assert count_parameters(net) == parameters


class Twice(nn.Module):
    """One convolution called twice and listed under two names, one never called, and one of 1x1."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        self.again = self.body
        self.idle = nn.Conv2d(4, 4, 3)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x: torch.Tensor, *, repeat: int = 2) -> torch.Tensor:
        for _ in range(repeat):
            x = self.body(x)
        return self.last(x)


@pytest.mark.parametrize(("convention", "relu"), [("plain", 0), ("paper", 4)])
def test_each_module_is_counted_with_its_children_and_each_call(convention: str, relu: int) -> None:
    pixels, x = 30, torch.ones(1, 4, 5, 6)
    assert macs_by_module(Twice(), x, convention=convention) == {
        "": pixels * (2 * (144 + relu) + 8),
        "body": pixels * 2 * (144 + relu),
        "body.0": pixels * 2 * 144,
        "body.1": pixels * 2 * relu,
        "idle": 0,
        "last": pixels * 8,
    }
    assert count_macs(Twice(), x, convention=convention, repeat=5) == pixels * (5 * (144 + relu) + 8)


def test_functions_count_for_the_module_that_calls_them() -> None:
    class Product(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x @ x

    net = nn.Sequential(Product(), nn.Linear(4, 3))
    assert macs_by_module(net, torch.ones(4, 4)) == {"": 64 + 48, "0": 64, "1": 48}


def test_a_shared_parameter_counts_once() -> None:
    net = Twice()
    assert count_parameters(net) == (4 * 4 * 9 + 4) * 2 + 4 * 2 + 2


def hooks(net: nn.Module) -> int:
    return sum(len(child._forward_hooks) + len(child._forward_pre_hooks) for child in net.modules())


@pytest.mark.parametrize("convention", ["plain", "paper"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("count", [count_macs, macs_by_module])
def test_counting_leaves_no_trace(count: Callable[..., object], convention: str, training: bool) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.PReLU()).train(training)
    net[0].eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [child.training for child in net.modules()]
    random = torch.get_rng_state()
    fastpath = torch.backends.mha.get_fastpath_enabled()
    count(net, torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0)), convention=convention)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [child.training for child in net.modules()] == modes
    assert hooks(net) == 0
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.backends.mha.get_fastpath_enabled() == fastpath
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("convention", ["plain", "paper"])
@pytest.mark.parametrize("count", [count_macs, macs_by_module])
def test_a_call_that_fails_leaves_no_trace_either(count: Callable[..., object], convention: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(5, 4, 3))
    with pytest.raises(RuntimeError, match="channels"):
        count(net, torch.ones(1, 3, 9, 9), convention=convention)
    assert hooks(net) == 0


@pytest.mark.parametrize("count", [count_macs, macs_by_module])
def test_an_unknown_convention_is_refused(count: Callable[..., object]) -> None:
    with pytest.raises(ArgumentError, match="got convention 'flops'; expected one of plain, paper"):
        count(nn.ReLU(), torch.ones(1), convention="flops")


def test_a_fake_network_on_a_device_that_is_not_there_is_counted() -> None:
    with FakeTensorMode(), torch.device("cuda"):
        net, lr = PAN(scale=4, nb=12), torch.empty(1, 3, 10, 12)
        assert count_macs(net, lr, convention="paper") == 120 * 433_272


def test_counting_leaves_other_threads_alone() -> None:
    """No hook hangs on their modules, no switch of the process is moved, and what they run is not counted."""
    from concurrent.futures import ThreadPoolExecutor

    other = nn.Conv2d(3, 3, 1)
    seen: list[object] = []

    def look() -> None:
        other(torch.rand(1, 3, 4, 4))
        hooks = nn.modules.module
        seen.append((len(hooks._global_forward_pre_hooks), len(hooks._global_forward_hooks)))
        seen.append((torch.backends.mha.get_fastpath_enabled(), torch.backends.cuda.flash_sdp_enabled()))

    def counted(x: torch.Tensor) -> torch.Tensor:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(look).result()
        return F.scaled_dot_product_attention(x, x, x)

    assert count_macs(Call(counted), torch.rand(1, 2, 4, 8)) == 2 * 2 * 4 * 4 * 8
    assert seen == [(0, 0), (True, torch.backends.cuda.flash_sdp_enabled())]
