from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import fx, nn

import mga_wrap as mga
from mga_wrap.backbones import RFDN
from mga_wrap.backbones.rfdn import ESA
from mga_wrap.counting import count_parameters
from mga_wrap.errors import ArgumentError
from mga_wrap.pictures import crop_to_multiple, psnr

SCALES = (2, 3, 4)


def pools(module: nn.Module) -> list[str]:
    return [type(part.pool).__name__ for part in module.modules() if isinstance(part, ESA)]


def test_the_public_checkpoint_loads_and_enlarges_well(
    shared: Path, set5: dict[str, np.ndarray], set5_lr: dict[tuple[str, int], np.ndarray]
) -> None:
    """As good as its authors say of the family (Set5: 32.2 dB); measured with values in 0..255, as it was trained."""
    net = RFDN(scale=4, num_modules=4, rgb_range=255).eval()
    net.load_state_dict(torch.load(shared / "weights" / "RFDN_AIM.pth", weights_only=True), strict=True)
    for name, decibels in {"bird": 34.890, "butterfly": 28.641}.items():
        lr = torch.from_numpy(set5_lr[name, 4].copy()).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            sr = (net(lr)[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte().numpy()
        assert psnr(sr, crop_to_multiple(set5[name], 4), border=4) == pytest.approx(decibels, abs=0.002)


@pytest.mark.parametrize(("scale", "parameters"), [(2, 417_212), (3, 423_977), (4, 433_448)])
def test_parameters_equal_the_papers_base_net(scale: int, parameters: int) -> None:
    assert count_parameters(RFDN(scale=scale, num_modules=4)) == parameters


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(15, 15), (16, 21)])
def test_sr_has_scale_times_the_sides(scale: int, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        sr = RFDN(scale=scale, num_modules=2)(torch.rand(2, 3, *size))
    assert sr.shape == (2, 3, scale * size[0], scale * size[1])


def test_six_blocks_are_usual_and_have_the_names_of_the_original() -> None:
    names = {name.split(".")[0] for name in RFDN(scale=2).state_dict()}
    assert names == {"fea_conv", "B1", "B2", "B3", "B4", "B5", "B6", "c", "LR_conv", "upsampler"}


def test_the_network_traces_and_the_trace_takes_other_sizes() -> None:
    net = RFDN(scale=2, num_modules=2).eval()
    lr = torch.rand(2, 3, 17, 20)
    with torch.inference_mode():
        assert torch.equal(fx.symbolic_trace(net)(lr), net(lr))


def test_the_forward_writes_into_nothing_that_is_not_its_own() -> None:
    lr = torch.rand(1, 3, 16, 16)
    before, version = lr.clone(), lr._version
    RFDN(scale=2, num_modules=2)(lr)
    assert torch.equal(lr, before)
    assert lr._version == version


def test_rgb_range_scales_inside_only() -> None:
    net = RFDN(scale=2, num_modules=2)
    other = RFDN(scale=2, num_modules=2, rgb_range=255)
    other.load_state_dict(net.state_dict())
    lr = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(other(lr), net(lr * 255) / 255)


def test_a_block_for_the_papers_refine_net_does_not_pool() -> None:
    net = RFDN(scale=2, num_modules=1).eval()
    before = copy.deepcopy(net.B1.state_dict())
    block = net.paper_refine_block(net.B1)
    with torch.inference_mode():
        assert block(torch.rand(3, 50, 6, 6)).shape == (3, 50, 6, 6)
    assert (pools(block), pools(net)) == (["Identity"], ["MaxPool2d"])
    assert block.state_dict().keys() == before.keys()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(1)
    assert all(torch.equal(value, before[name]) for name, value in net.B1.state_dict().items())


def test_the_paper_style_pools_in_the_base_net_only() -> None:
    model = RFDN(scale=2)
    net = mga.accelerate(model, style="paper", split_at=4)
    assert pools(net.base) == ["MaxPool2d"] * 4
    assert pools(net.refine) == ["Identity"] * 2
    assert pools(model) == ["MaxPool2d"] * 6


def test_dense_is_the_original_bit_for_bit() -> None:
    model = RFDN(scale=3, num_modules=3).eval()
    net, lr = mga.accelerate(model, split_at="B1"), torch.rand(2, 3, 19, 23)
    with torch.inference_mode():
        assert torch.equal(net(lr, k="dense"), model(lr))
        assert net(lr, k=1).shape == (2, 3, 57, 69)
    assert pools(net) == ["MaxPool2d"] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 1}, r"got scale=1.*\(2, 3, 4\)"),
        ({"scale": "4"}, r"got scale='4'.*\(2, 3, 4\)"),
        ({"scale": 4, "num_modules": 0}, "got num_modules=0.*at least one"),
        ({"scale": 4, "rgb_range": 0}, "got rgb_range=0.*positive"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        RFDN(**options)
