"""Ties in the score are excepted from a comparison, and nothing else is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from toys.plain import build

import mga_wrap as mga
from mga_wrap.exporting.parity import compare
from mga_wrap.nets.patches import grid_size

pytestmark = pytest.mark.filterwarnings(
    "ignore::mga_wrap.errors.UnfittedWarning", "ignore::mga_wrap.errors.CostWarning"
)


class Flat(nn.Module):
    """All patches need refining alike."""

    def forward(self, feature: Tensor, lr: Tensor, coarse: Tensor, *, p: int) -> Tensor:
        return feature.new_zeros(feature.shape[0], *grid_size(*feature.shape[-2:], p))


@pytest.fixture
def net() -> mga.MGANet:
    net = mga.accelerate(build("LongSkip", 2), split_at=1, p=8, halo=2).eval()
    net.mask = Flat()  # type: ignore[assignment]
    return net


def test_of_tied_patches_others_may_be_refined(net: mga.MGANet) -> None:
    def run(lr: Tensor) -> Tensor:
        """The last three patches, where the network takes the first ones."""
        coarse, *crossing = net.base(lr)
        return net.refine_patches(coarse, crossing, torch.tensor([[9, 10, 11]]))

    worst, tied = compare(net, run, 3, [(24, 32)])
    assert tied == 12
    assert worst <= 1e-5


@pytest.mark.parametrize("value", [0.01, float("nan")])
def test_a_tied_patch_is_the_coarse_or_the_refined_one(net: mga.MGANet, value: float) -> None:
    def run(lr: Tensor) -> Tensor:
        sr = net(lr, k=3)
        sr[..., -1, -1] += value
        return sr

    with pytest.raises(mga.EngineError, match=r"the image of 32 x 24 differs by .* from the network's"):
        compare(net, run, 3, [(24, 32)])
