"""Windows are chosen by what they leave, measured on pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toys.whole import Enlarges, build_whole

import mga_wrap as mga
from mga_wrap.config import CutConfig
from mga_wrap.fitting.samples import luma
from mga_wrap.nets.patches import grid_size
from mga_wrap.pair.choose import PRICE, _left, best_window
from mga_wrap.pair.meet import meet
from mga_wrap.pair.windows import Window, Windows
from mga_wrap.pictures.synthetic import synthetic


class LooksFar(nn.Module):
    """A blur of 17 pixels, several times over what its base costs: a narrow halo is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.blur = nn.Conv2d(3, 3, 17, padding=8, groups=3, bias=False)
        nn.init.constant_(self.blur.weight, 1 / 289)
        self.more = nn.Conv2d(3, 60, 3, padding=1, bias=False)
        nn.init.zeros_(self.more.weight)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blur(x) + self.more(x).mean(dim=1, keepdim=True)
        return nn.functional.interpolate(x, scale_factor=2.0)


class LooksHere(LooksFar):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x + self.more(self.blur(x)).mean(dim=1, keepdim=True), scale_factor=2.0)


def pictures() -> list[np.ndarray]:
    return [(synthetic(400, 420)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)]


def chosen(model: nn.Module, config: CutConfig) -> Window:
    model, small = model.eval(), Enlarges(2).eval()
    met = meet(model, small)
    offered = Windows(model, met.example).offered(config)
    return best_window(model, small, offered, met, images=pictures(), seconds=100)


def test_a_network_that_looks_far_gets_a_wider_halo() -> None:
    far, here = (chosen(model, CutConfig(p=16)).halo for model in (LooksFar(), LooksHere()))
    assert here < far


def test_without_time_the_first_is_measured_alone() -> None:
    model, small = LooksFar().eval(), Enlarges(2).eval()
    met = meet(model, small)
    offered = Windows(model, met.example).offered(CutConfig())
    assert best_window(model, small, offered, met, images=pictures(), seconds=0) == offered[0]


def test_what_is_left_is_what_a_pair_leaves() -> None:
    """The estimate on one crop equals the squared error of the pair itself, its patches chosen by the true error."""
    model, small = LooksFar().eval(), Enlarges(2).eval()
    met = meet(model, small)
    lr = synthetic(64, 64)
    window = Windows(model, met.example).window(16, 2)
    assert window is not None
    with torch.no_grad():
        original, coarse = model(lr), small(lr)
        found = _left(model, window, met, lr, original, coarse)
        net = mga.accelerate(model, base=small, p=16, halo=2)
        gh, gw = grid_size(64, 64, 16)
        squared = (luma(coarse.clamp(0, 1)) - luma(original.clamp(0, 1))).square()
        errors = nn.functional.avg_pool2d(squared, 32).flatten()
        share = (PRICE * met.model_macs - met.small_macs) / window.macs_per_pixel
        count = min(max(round(share * gh * gw), 1), gh * gw)
        index = errors.argsort(descending=True)[:count][None]
        sr = net.refine_patches(coarse, [lr], index)
        true = (luma(sr.clamp(0, 1)) - luma(original.clamp(0, 1))).square().mean()
    assert count < 12, "every refined patch is looked at"
    assert found == pytest.approx(float(true), rel=1e-4)


def test_accelerate_measures_only_what_is_left_open() -> None:
    model, small = build_whole("UShaped", 2), build_whole("Enlarges", 2)
    net = mga.accelerate(model, base=small, p=16, halo=3, k=0.1, fit=pictures(), seconds=1)
    assert (net.p, net.halo, net.fitted) == (16, 3, True)
    net = mga.accelerate(model, base=small, k=0.1, fit=pictures(), seconds=1)
    assert net.fitted
