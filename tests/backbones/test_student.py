from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import fx

import mga_wrap as mga
from mga_wrap.backbones import HalfStudent, Student
from mga_wrap.counting import count_macs
from mga_wrap.errors import ArgumentError

SCALES = (2, 3, 4)


@pytest.mark.parametrize(("kind", "most"), [(Student, 200_000), (HalfStudent, 100_000)])
@pytest.mark.parametrize("scale", SCALES)
def test_macs_a_pixel_stay_below_what_is_promised(kind: Any, most: int, scale: int) -> None:
    macs = count_macs(kind(scale=scale), torch.zeros(1, 3, 16, 16)) / 16**2
    assert 0.8 * most < macs <= most


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (8, 8), (9, 5)])
def test_sr_has_scale_times_the_sides(scale: int, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        sr = Student(scale=scale, blocks=2)(torch.rand(2, 3, *size))
    assert sr.shape == (2, 3, scale * size[0], scale * size[1])


@pytest.mark.parametrize("scale", SCALES)
def test_a_fresh_network_is_nearly_bilinear(scale: int) -> None:
    torch.manual_seed(0)
    lr = torch.rand(1, 3, 24, 32)
    with torch.inference_mode():
        error = Student(scale=scale)(lr) - F.interpolate(lr, scale_factor=scale, mode="bilinear")
    assert 0 < float(error.square().mean()) < 0.1**2


def test_a_window_is_exact_with_a_halo_of_its_reach() -> None:
    """Three pixels a block, one each for head and tail: no pooling, no stride."""
    net, reach = Student(scale=2, blocks=1).double().eval(), 5
    lr = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        whole, window = net(lr), net(lr[..., 8:24, 8:24])
    inner = window[..., 2 * reach : -2 * reach, 2 * reach : -2 * reach]
    torch.testing.assert_close(inner, whole[..., 16 + 2 * reach : 48 - 2 * reach, 16 + 2 * reach : 48 - 2 * reach])
    beside = window[..., 2:-2, 2:-2]
    assert not torch.allclose(beside, whole[..., 18:46, 18:46])


def test_the_network_traces_and_the_trace_takes_other_sizes() -> None:
    net = Student(scale=2, blocks=2).eval()
    lr = torch.rand(2, 3, 17, 20)
    with torch.inference_mode():
        assert torch.equal(fx.symbolic_trace(net)(lr), net(lr))


def test_it_is_cut_and_dense_is_the_original_bit_for_bit() -> None:
    model = Student(scale=3, blocks=3).eval()
    net, lr = mga.accelerate(model, split_at="body.0"), torch.rand(2, 3, 19, 23)
    with torch.inference_mode():
        assert torch.equal(net(lr, k="dense"), model(lr))
        assert net(lr, k=1).shape == (2, 3, 57, 69)


def test_as_a_base_its_last_feature_at_lr_resolution_is_found() -> None:
    model, small = mga.create_backbone("fsrcnn", scale=2).eval(), mga.create_backbone("student-half", scale=2).eval()
    net, lr = mga.accelerate(model, base=small, p=16, halo=4), torch.rand(1, 3, 40, 48)
    with torch.inference_mode():
        assert torch.equal(net(lr, k=0), small(lr))
        assert torch.equal(net.trace(lr).feature, small.body(small.head(lr)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 1}, r"got scale=1.*\(2, 3, 4\)"),
        ({"scale": "4"}, r"got scale='4'.*\(2, 3, 4\)"),
        ({"scale": 4, "blocks": 0}, "blocks=0 for Student; expected at least 1"),
        ({"scale": 4, "channels": 0}, "channels=0 and"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Student(**options)
