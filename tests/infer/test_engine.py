"""What bfloat16 costs in dB: the figures of docs/speed.md; and what a dtype of less range does not hold."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import mga_wrap as mga
from mga_wrap.backbones.weights import load_weights
from mga_wrap.infer import network_for
from mga_wrap.infer.engine import run, run_traced
from mga_wrap.pictures import psnr
from mga_wrap.processor import has_bfloat16

CROP = 96
"""Side of the LR images' part that is enlarged, pixels: enough for a mean, and quick."""


def loss(net: nn.Module, pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Mean PSNR-Y in float32 less that in bfloat16, dB."""
    losses = []
    for lr, hr in pairs:
        exact, fast = (psnr(mga.upscale(lr, model=net, dtype=dtype), hr, border=4) for dtype in (None, "bfloat16"))
        losses.append(exact - fast)
    return float(np.mean(losses))


@pytest.fixture(scope="module")
def pairs(
    set5: dict[str, np.ndarray], set5_lr: dict[tuple[str, int], np.ndarray]
) -> list[tuple[np.ndarray, np.ndarray]]:
    names = sorted(set5)
    lrs = [set5_lr[name, 4][:CROP, :CROP] for name in names]
    return [(lr, set5[name][: 4 * lr.shape[0], : 4 * lr.shape[1]]) for name, lr in zip(names, lrs, strict=True)]


def test_bfloat16_costs_pan_a_thousandth_of_a_decibel(
    pairs: list[tuple[np.ndarray, np.ndarray]], pan_checkpoints: dict[int, Path]
) -> None:
    model = mga.create_backbone("pan", scale=4)
    load_weights(model, pan_checkpoints[4])
    assert -0.001 < loss(model, pairs) < 0.003


@pytest.mark.skipif(not has_bfloat16(), reason="this processor emulates bfloat16, and rounds in other places")
def test_bfloat16_costs_the_network_in_the_package_hundredths(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Mostly by the rounding of its weights: no skip leads the image around them."""
    assert 0 < loss(network_for("fsrcnn-m-x4", device="cpu"), pairs) < 0.04


class Overflows(nn.Module):
    """Features of 1e5 between two layers, which float16 does not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 3, 1, bias=False)
        with torch.no_grad():
            for layer, factor in ((self.up, 1e3), (self.down, 1e-6)):
                layer.weight.copy_(factor * torch.eye(3)[:, :, None, None])

    def forward(self, lr: Tensor) -> Tensor:
        return F.interpolate(self.down(self.up(1e3 * lr)), scale_factor=2.0)


def test_what_float16_does_not_hold_is_run_again_and_told() -> None:
    net, lr = Overflows(), torch.rand(1, 3, 6, 8)
    expected = run(net, lr)
    with pytest.warns(RuntimeWarning, match="Overflows made NaN or infinity .* in float16; it is run again in float32"):
        assert torch.equal(run(net, lr, dtype="float16"), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "this processor has no bfloat16")
        torch.testing.assert_close(run(net, lr, dtype="bfloat16"), expected, atol=0.01, rtol=0)


@pytest.mark.filterwarnings("ignore::mga_wrap.errors.CostWarning", "ignore::mga_wrap.errors.UnfittedWarning")
def test_a_trace_is_run_again_too(monkeypatch: pytest.MonkeyPatch) -> None:
    net, lr = mga.accelerate(mga.create_backbone("fsrcnn", scale=2), p=4).eval(), torch.rand(1, 3, 12, 16)
    own = net.refine.forward
    monkeypatch.setattr(
        net.refine,
        "forward",
        lambda *x, **how: own(*x, **how) + (torch.inf if torch.is_autocast_enabled("cpu") else 0),
    )
    with pytest.warns(RuntimeWarning, match="MGANet made NaN or infinity"):
        sr, trace = run_traced(net, lr, k=2, dtype="bfloat16")
    assert torch.equal(sr, run(net, lr, k=2))
    assert bool(trace.sr.isfinite().all())
