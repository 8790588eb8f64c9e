"""The paper's two losses."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from mga_wrap.measure.mask import true_mask
from mga_wrap.measure.metrics import LUMA
from mga_wrap.nets.mga import MGANet


def restoration_loss(net: MGANet, lr: Tensor, hr: Tensor) -> Tensor:
    """10 * L1(refined, hr) + L1(coarse, hr), every patch refined (paper, first training stage).

    Args:
        net: the network; all patches go through its Refine-Net.
        lr: (B, 3, H, W).
        hr: (B, 3, s*H, s*W), the same value range.
    """
    coarse, sr = net.coarse_and_refined(lr)
    return 10 * F.l1_loss(sr, hr) + F.l1_loss(coarse, hr)


def squared_loss(net: MGANet, lr: Tensor, hr: Tensor, *, weight: float = 10.0) -> Tensor:
    """100 * (weight * E(refined) + E(coarse)) with E half the mean squared error of RGB plus that of luma.

    PSNR on luma is what the field reports and squared errors are what it counts: for the last steps of a training.
    Of a small network's squared error in RGB a fifth is chroma, which the eye sees least.
    """
    coarse, sr = net.coarse_and_refined(lr)
    weights = torch.tensor(LUMA, device=lr.device, dtype=lr.dtype).view(3, 1, 1) / sum(LUMA)

    def squared(error: Tensor) -> Tensor:
        return 0.5 * error.square().mean() + (error * weights).sum(dim=1).square().mean()

    return 100 * (weight * squared(sr - hr) + squared(coarse - hr))


def psnr_loss(net: MGANet, lr: Tensor, hr: Tensor) -> Tensor:
    """The mean over crops and over both images of log10 of the mean squared error of luma: PSNR itself, but for a sign.

    A squared error cares for the hardest crops alone; the field averages decibels, in which an easy image counts as
    much as a hard one. RGB has a tenth of the weight, so that colours stay.
    """
    weights = torch.tensor(LUMA, device=lr.device, dtype=lr.dtype).view(3, 1, 1) / sum(LUMA)
    losses = []
    for image in net.coarse_and_refined(lr):
        error = image - hr
        squared = (error * weights).sum(dim=1).square().mean(dim=(1, 2)) + 0.1 * error.square().mean(dim=(1, 2, 3))
        losses.append((squared + 1e-6).log10().mean())  # 60 dB: a flat crop pulls no harder than that
    return torch.stack(losses).mean()


def mask_loss(net: MGANet, lr: Tensor, hr: Tensor) -> Tensor:
    """10 * L1(score, the true error mask) (paper, second training stage); hr is not needed."""
    del hr
    with torch.no_grad():
        target = true_mask(net, lr)
    _, *crossing = net.base(lr)
    return 10 * F.l1_loss(net.mask(crossing[0]), target)
