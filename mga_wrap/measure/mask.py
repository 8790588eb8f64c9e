"""The true error mask, which the predictor learns, and how well a predicted one agrees with it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mga_wrap.errors import ArgumentError
from mga_wrap.measure.metrics import LUMA
from mga_wrap.nets.mga import MGANet, MGATrace


@dataclass(frozen=True)
class Agreement:
    """How many of the k patches with the largest predicted error are also those with the largest true one."""

    k: int
    """Patches chosen; never more than there are."""
    patches: int
    """Patches that the image has."""
    both: float
    """Patches chosen by both masks; with fractions where it is a mean over images."""

    @property
    def accuracy(self) -> float:
        """The share of the k, 0 to 1 (Table 1)."""
        return self.both / self.k

    @property
    def chance(self) -> float:
        """The accuracy that patches drawn at random have on average: k / patches."""
        return self.k / self.patches


def true_mask(net: MGANet, lr: Tensor) -> Tensor:
    """The paper's "MASK GT": where refinement changes luma most.

    |Y(every patch refined) - Y(coarse)|, min-max normalised an image, averaged over each patch, normalised again.

    Args:
        net: the network; every patch goes through its Refine-Net.
        lr: (B, 3, H, W).

    Returns:
        (B, gh, gw) in 0..1.
    """
    return mask_of(net.trace(lr, k="all"), net=net)


def mask_of(trace: MGATrace, *, net: MGANet) -> Tensor:
    """`true_mask` of a trace of ``net`` with k="all"."""
    luma = torch.tensor(LUMA, device=trace.sr.device, dtype=trace.sr.dtype).view(3, 1, 1)
    change = ((trace.sr - trace.coarse) * luma).sum(dim=1, keepdim=True).abs()  # (B, 1, s*H, s*W)
    pooled = F.avg_pool2d(_normalise(change), patch_side(net), ceil_mode=True, count_include_pad=False)
    gh, gw = trace.score.shape[-2:]
    # The feature of a network that pads its image is larger than sr: nothing changes where sr has no pixels.
    pooled = F.pad(pooled, [0, gw - pooled.shape[-1], 0, gh - pooled.shape[-2]])
    return _normalise(pooled).squeeze(1)


def patch_side(net: MGANet) -> int:
    """The side of a patch in pixels of sr."""
    return net.p * net.geometry.zoom


def agreement(predicted: Tensor, true: Tensor, *, k: int) -> Agreement:
    """Compare two masks of one image by their top k.

    Args:
        predicted: (gh, gw), a score.
        true: (gh, gw), what `true_mask` gives for the image.
        k: how many patches are chosen; more than there are means all.

    Raises:
        ArgumentError: the masks differ in shape, or k is less than 1.
    """
    if predicted.shape != true.shape:
        raise ArgumentError(f"got masks of shapes {tuple(predicted.shape)} and {tuple(true.shape)}; expected one grid")
    if k < 1:
        raise ArgumentError(f"got k={k}; expected at least 1 patch")
    chosen = min(k, true.numel())
    first, second = (mask.flatten().topk(chosen).indices for mask in (predicted, true))
    both = int(torch.isin(first, second).sum())
    return Agreement(k=chosen, patches=true.numel(), both=both)


def _normalise(x: Tensor) -> Tensor:
    low, high = x.amin(dim=(1, 2, 3), keepdim=True), x.amax(dim=(1, 2, 3), keepdim=True)
    return (x - low) / (high - low).clamp(min=1e-12)
