"""What bfloat16 costs in dB: the figures of docs/speed.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn

import mga_wrap as mga
from mga_wrap.backbones.weights import load_weights
from mga_wrap.infer import network_for
from mga_wrap.pictures import psnr

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


def test_bfloat16_costs_the_network_in_the_package_hundredths(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Mostly by the rounding of its weights: no skip leads the image around them."""
    assert 0 < loss(network_for("fsrcnn-m-x4", device="cpu"), pairs) < 0.04
