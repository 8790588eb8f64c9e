"""The losses against values worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from networks import build
from torch import Tensor, nn

import mga_wrap as mga
from mga_wrap.measure.metrics import LUMA
from mga_wrap.nets.mask import MaskPredictor
from mga_wrap.train.losses import mask_loss, restoration_loss, squared_loss


class Stub(nn.Module):
    """Stands for a network whose two images are known."""

    p = 2
    geometry = SimpleNamespace(zoom=2)

    def __init__(self, coarse: Tensor, refined: Tensor) -> None:
        super().__init__()
        self.images = coarse, refined
        self.mask = MaskPredictor(1, p=2)

    def coarse_and_refined(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        return self.images

    def trace(self, lr: Tensor, *, k: str) -> SimpleNamespace:
        assert k == "all"
        grid = [-(-side // self.p) for side in lr.shape[2:]]
        return SimpleNamespace(coarse=self.images[0], sr=self.images[1], score=torch.zeros(lr.shape[0], *grid))

    def base(self, lr: Tensor) -> tuple[Tensor, Tensor]:
        return self.images[0], torch.zeros(lr.shape[0], 1, *lr.shape[2:])


def grey(*values: float, height: int = 4, width: int = 4) -> Tensor:
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 3, height, width)


def test_restoration_loss_by_hand() -> None:
    net = Stub(grey(0.2, 0.4), grey(0.5, 0.7))
    lr, hr = grey(0.0, 0.0, height=2, width=2), grey(0.6, 1.0)
    # refined: (0.1 + 0.3) / 2; coarse: (0.4 + 0.6) / 2
    assert restoration_loss(net, lr, hr).item() == pytest.approx(10 * 0.2 + 0.5)


def test_squared_loss_by_hand() -> None:
    """Of a grey error e, RGB gives half of e^2 and luma all of it."""
    net = Stub(grey(0.2), grey(0.5))
    lr, hr = grey(0.0, height=2, width=2), grey(0.6)
    assert squared_loss(net, lr, hr).item() == pytest.approx(100 * 1.5 * (10 * 0.1**2 + 0.4**2), rel=1e-5)


def test_squared_loss_counts_luma_more_than_chroma() -> None:
    hr, lr = grey(0.5), grey(0.5, height=2, width=2)
    change = torch.tensor([0.1, 0.0, 0.0]).view(1, 3, 1, 1)  # red alone
    share = LUMA[0] / sum(LUMA)
    expected = 100 * 10 * (0.5 * 0.1**2 / 3 + (0.1 * share) ** 2)
    assert squared_loss(Stub(hr, hr + change), lr, hr).item() == pytest.approx(expected, rel=1e-5)
    opposed = torch.tensor([LUMA[1], -LUMA[0], 0.0]).view(1, 3, 1, 1) / 1000  # another colour of the same luma
    expected = 100 * 10 * 0.5 * opposed.square().mean().item()
    assert squared_loss(Stub(hr, hr + opposed), lr, hr).item() == pytest.approx(expected, rel=1e-4)


def test_luma_is_that_of_the_field() -> None:
    assert sum(LUMA) == pytest.approx(219)  # studio range: black 16, white 235


def test_mask_loss_by_hand() -> None:
    """A predictor whose last layer is zero says 0.5 everywhere."""
    coarse = torch.zeros(1, 3, 8, 8)
    refined = coarse.clone()
    refined[..., :4, :4] = 1.0
    net = Stub(coarse, refined)
    nn.init.zeros_(net.mask.conv2.weight)
    nn.init.zeros_(net.mask.conv2.bias)
    loss = mask_loss(net, torch.zeros(1, 3, 4, 4), torch.full((1, 3, 8, 8), torch.nan))  # hr is not needed
    assert loss.item() == pytest.approx(10 * 0.5)


def test_mask_loss_teaches_the_predictor() -> None:
    net = mga.accelerate(build("LongSkip", 2), style="paper")
    mask_loss(net, torch.rand(2, 3, 12, 12), torch.zeros(2, 3, 24, 24)).backward()
    assert all(parameter.grad is not None for parameter in net.mask.parameters())
    assert all(parameter.grad is None for parameter in net.refine.parameters())


def test_restoration_loss_teaches_both_nets_and_not_the_mask() -> None:
    net = mga.accelerate(build("LongSkip", 2), style="paper")
    for loss in (restoration_loss, squared_loss):
        net.zero_grad()
        loss(net, torch.rand(2, 3, 12, 12), torch.rand(2, 3, 24, 24)).backward()
        for part in (net.base, net.refine):
            assert all(parameter.grad is not None for parameter in part.parameters())
        assert all(parameter.grad is None for parameter in net.mask.parameters())
