"""The true error mask, which the predictor learns, and how well a predicted one agrees with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mga_wrap.errors import ArgumentError
from mga_wrap.nets.mga import MGANet, MGATrace
from mga_wrap.pictures.metrics import LUMA


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
    return error_mask(trace.coarse, trace.sr, side=patch_side(net), grid=trace.score.shape[-2:])


def error_mask(coarse: Tensor, refined: Tensor, *, side: int, grid: Sequence[int]) -> Tensor:
    """`true_mask` of two images.

    Args:
        coarse: (B, C, s*H, s*W).
        refined: the same with every patch refined.
        side: of a patch in pixels of sr.
        grid: (gh, gw).

    Returns:
        (B, gh, gw) in 0..1.
    """
    change = _normalise(luma(refined - coarse).abs())  # (B, 1, s*H, s*W)
    pooled = F.avg_pool2d(change, side, ceil_mode=True, count_include_pad=False)
    # The feature of a network that pads its image is larger than sr: nothing changes where sr has no pixels.
    pooled = F.pad(pooled, [0, grid[1] - pooled.shape[-1], 0, grid[0] - pooled.shape[-2]])
    return _normalise(pooled).squeeze(1)


def luma(x: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 1, H, W), the weighted mean over RGB; images of other channels as they are, averaged."""
    if x.shape[1] != len(LUMA):
        return x.mean(dim=1, keepdim=True)
    weights = torch.tensor(LUMA, device=x.device, dtype=x.dtype).view(3, 1, 1) / sum(LUMA)
    return (x * weights).sum(dim=1, keepdim=True)


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
