"""What is put in the place of operators that OpenVINO runs slowly computes what they did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

openvino = pytest.importorskip("openvino")

from mga_wrap.engines.rewriting import rewrite  # noqa: E402
from mga_wrap.engines.sessions import openvino_core  # noqa: E402


class Does(nn.Module):
    """A grouped convolution, and something with what it makes."""

    def __init__(self, run: Callable[[Does, Tensor], object], *, groups: int, out: int, **options: Any) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(6, out, 3, groups=groups, **options)
        self.mixed = nn.Conv2d(out, 5, 1)
        self.other = nn.Conv2d(out, 4, 3, groups=2)
        self.run = run

    def forward(self, x: Tensor) -> object:
        return self.run(self, x)


def straight(net: Does, x: Tensor) -> object:
    return net.mixed(net.grouped(x))


def bent(net: Does, x: Tensor) -> object:
    return net.mixed(F.gelu(net.grouped(x)))


def twice(net: Does, x: Tensor) -> object:
    y = net.grouped(x)
    return net.mixed(y), y.mean(dim=1)


def grouped_again(net: Does, x: Tensor) -> object:
    return net.other(net.grouped(x))


def as_weights(net: Does, x: Tensor) -> object:
    """It is another convolution's filters, not its map."""
    return F.conv2d(x[:, :2], net.grouped(x)[:, :2, :3, :3])


def shifted(net: Does, x: Tensor) -> object:
    """What is added is no bias."""
    return net.mixed(net.grouped(x) + x.mean(dim=(2, 3), keepdim=True).repeat_interleave(2, dim=1))


def scaled(net: Does, x: Tensor) -> object:
    """What is added becomes a part of the bias."""
    return net.mixed(net.grouped(x) + 0.5)


def exported(net: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        model = openvino.convert_model(torch.export.export(net.eval(), (x,)))
    model.reshape({0: list(x.shape)})
    return model


def kinds(model: Any) -> Counter[str]:
    return Counter(node.get_type_name() for node in model.get_ordered_ops())


def slow(model: Any) -> int:
    """Grouped convolutions of one channel in and several out."""
    filters = [
        list(node.input_value(1).partial_shape.to_shape())
        for node in model.get_ordered_ops()
        if node.get_type_name() == "GroupConvolution"
    ]
    return sum(shape[1] > 1 and shape[2] == 1 for shape in filters)


def check(model: Any, net: nn.Module, x: Tensor) -> None:
    """To the rounding of a sum in another order."""
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    with torch.no_grad():
        wanted = net(x)
    for number, one in enumerate(wanted if isinstance(wanted, tuple) else (wanted,)):
        assert torch.allclose(torch.from_numpy(compiled(x.numpy())[number]), one, atol=1e-5)


@pytest.mark.parametrize(
    ("run", "out", "concats"),
    [
        (straight, 12, 1),
        (straight, 18, 1),
        (bent, 12, 0),
        (twice, 12, 0),
        (grouped_again, 12, 0),
        (as_weights, 12, 0),
        (shifted, 12, 0),
        (scaled, 12, 1),
    ],
)
def test_channels_are_repeated_and_what_comes_next_takes_them_in_their_order(
    run: Callable[[Does, Tensor], object], out: int, concats: int
) -> None:
    net, x = Does(run, groups=6, out=out), torch.randn(2, 6, 11, 14)
    model = exported(net, x)
    assert slow(model) == 1
    before = kinds(model)["Concat"]
    rewrite(model)
    assert slow(model) == 0
    assert kinds(model)["Concat"] - before == concats  # else a Gather repeats them
    check(model, net, x)
    rewrite(model)  # nothing is left to do
    assert kinds(model)["Concat"] - before == concats
    check(model, net, x)


@pytest.mark.parametrize("options", [{"stride": 2}, {"dilation": 2}, {"padding": 1}, {"bias": False}])
def test_a_grouped_convolution_keeps_its_options(options: dict[str, Any]) -> None:
    net, x = Does(straight, groups=6, out=12, **options), torch.randn(1, 6, 12, 15)
    model = exported(net, x)
    rewrite(model)
    assert slow(model) == 0
    check(model, net, x)


@pytest.mark.parametrize(("groups", "out"), [(6, 6), (3, 12), (2, 4)])
def test_other_groups_stay_as_they_are(groups: int, out: int) -> None:
    net, x = Does(straight, groups=groups, out=out), torch.randn(1, 6, 9, 8)
    model = exported(net, x)
    before = kinds(model)
    rewrite(model)
    assert kinds(model)["Concat"] == before["Concat"]
    assert kinds(model)["GroupConvolution"] == 1
    check(model, net, x)


class Pool(nn.Module):
    def __init__(self, to: list[int], *, places: bool = False) -> None:
        super().__init__()
        self.to, self.places = to, places

    def forward(self, x: Tensor) -> Tensor:
        y, places = F.adaptive_max_pool2d(x, self.to, return_indices=True)
        return y + places if self.places else y


@pytest.mark.parametrize(("to", "pools"), [([4, 8], 1), ([4, 7], 1), ([5, 8], 1), ([5, 7], 0), ([12, 24], 0)])
def test_what_divides_is_pooled_first(to: list[int], pools: int) -> None:
    net, x = Pool(to), torch.randn(2, 3, 12, 24)
    model = exported(net, x)
    rewrite(model)
    assert kinds(model)["MaxPool"] == pools
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert torch.equal(torch.from_numpy(compiled(x.numpy())[0]), net(x))


def test_where_places_are_asked_for_nothing_is_pooled_first() -> None:
    net, x = Pool([4, 8], places=True), torch.randn(1, 3, 12, 24)
    model = exported(net, x)
    rewrite(model)
    assert kinds(model)["MaxPool"] == 0
    check(model, net, x)


def test_a_graph_by_torch_export_has_fixed_shapes() -> None:
    """OpenVINO reads one as for every size, and runs it slower."""
    from mga_wrap.engines import sessions

    net, x = Does(bent, groups=6, out=12).eval(), torch.randn(1, 6, 9, 8)
    seen: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sessions, "rewrite", seen.append)
        sessions.open_session(
            "openvino", sessions.to_ir(net, [x]), shapes=[tuple(x.shape)], threads=1, dtype=torch.float32
        )
    assert not any(output.partial_shape.is_dynamic for node in seen[0].get_ordered_ops() for output in node.outputs())
