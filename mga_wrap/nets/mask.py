"""The mask predictor: from the coarse feature to the error that the Base-Net is expected to leave in each patch."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mga_wrap.errors import ArgumentError
from mga_wrap.nets.patches import grid_size

KERNEL = 5
"""Side of the dynamic convolution's kernel: each patch weighs its 5 x 5 neighbours."""
STEP = 8
"""Side of what is averaged at once on a GPU."""


class MaskPredictor(nn.Module):
    """Predict an error score for every patch (supplement, section 6; parameters as in Tables 2 to 10).

    feature -> 3x3 convolution -> ReLU -> 3x3 convolution -> two channels (well restored, under-restored) -> softmax
    -> the second, averaged over each p x p patch -> 5x5 dynamic convolution, whose 25 weights a patch come from a 1x1
    convolution on the averaged map.

    Args:
        channels: C, channels of the feature.
        dynamic: False leaves the dynamic convolution out (the "conv" rows of Table 2).
        map_channels: 2, or 1 with a sigmoid in the softmax's place (Table 8).
        resolution: "full" runs the convolutions on the whole feature map as in the paper; "patch" averages the
            feature over the patches first, for 1/p² of the MACs.

    Raises:
        ArgumentError: an argument is outside the values named above.
    """

    def __init__(
        self,
        channels: int,
        *,
        dynamic: bool = True,
        map_channels: int = 2,
        resolution: Literal["full", "patch"] = "full",
    ) -> None:
        super().__init__()
        if map_channels not in (1, 2):
            raise ArgumentError(f"got map_channels={map_channels}; expected 1 or 2")
        if resolution not in ("full", "patch"):
            raise ArgumentError(f"got resolution={resolution!r}; expected 'full' or 'patch'")
        self.resolution = resolution
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, map_channels, 3, padding=1)
        self.kernel = nn.Conv2d(1, KERNEL**2, 1) if dynamic else None
        self._start_as_average()

    def _start_as_average(self) -> None:
        """At first each patch's score is its own average: the dynamic kernel is 1 in its centre, 0 around."""
        if self.kernel is None or self.kernel.bias is None:
            return
        with torch.no_grad():
            self.kernel.weight.zero_()
            self.kernel.bias.zero_()
            self.kernel.bias[KERNEL**2 // 2] = 1.0

    def forward(self, feature: Tensor, lr: Tensor | None = None, coarse: Tensor | None = None, *, p: int) -> Tensor:
        """Score each patch.

        Args:
            feature: (B, C, H, W), the coarse feature.
            lr: not used; see `ScorePredictor`.
            coarse: not used.
            p: patch side in feature pixels; the weights are the same for every p.

        Returns:
            (B, gh, gw) with (gh, gw) = (ceil(H / p), ceil(W / p)): the larger, the more a patch needs refinement.
            Trained against an error map in 0..1; the order is what counts.
        """
        if self.resolution == "patch":
            feature = average(feature, p=p)  # (B, C, gh, gw)
        spatial = self.conv2(F.relu(self.conv1(feature)))  # (B, 1 or 2, H, W)
        error = spatial.softmax(dim=1)[:, 1:] if self.conv2.out_channels == 2 else spatial.sigmoid()  # (B, 1, H, W)
        if self.resolution == "full":
            error = average(error, p=p)  # (B, 1, gh, gw)
        return self._weigh_neighbours(error).squeeze(1)

    def _weigh_neighbours(self, error: Tensor) -> Tensor:
        if self.kernel is None:
            return error
        weights = self.kernel(error)  # (B, 25, gh, gw)
        neighbours = F.unfold(error, KERNEL, padding=KERNEL // 2).view_as(weights)
        return (weights * neighbours).sum(dim=1, keepdim=True)  # (B, 1, gh, gw)


def average(x: Tensor, *, p: int, grid: tuple[int, int] | None = None) -> Tensor:
    """Mean over each p x p patch; one cut by the border averages over what it has.

    Args:
        x: (B, C, H, W).
        p: patch side in pixels of x.
        grid: (gh, gw), where it is larger than x is; patches without a pixel are 0.

    Returns:
        (B, C, gh, gw).
    """
    height, width = x.shape[-2:]
    natural = grid_size(height, width, p)
    gh, gw = natural if grid is None else grid
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    if not traced and (gh, gw) == natural and not x.is_cuda:
        return F.avg_pool2d(x, p, ceil_mode=True, count_include_pad=False)  # no padded copy of a map that may be large
    padded = F.pad(x, [0, gw * p - width, 0, gh * p - height])
    rows, cols = (_covered(size, n, p=p, device=x.device) for size, n in ((height, gh), (width, gw)))
    # A GPU's threads each read a whole patch, one pixel after the other: few threads, and each for long.
    for side in steps(p) if x.is_cuda and not traced else (p,):
        padded = F.avg_pool2d(padded, side)
    return padded * (p**2 / (rows[:, None] * cols).to(x.dtype))


def steps(p: int) -> tuple[int, ...]:
    """Sides to average over one after the other, instead of p at once: each the largest up to `STEP` that divides.

    Example:
        >>> steps(64), steps(24), steps(17)
        ((8, 8), (8, 3), (17,))
    """
    side = next((each for each in range(STEP, 1, -1) if p % each == 0), p)
    return (side,) if side == p else (side, *steps(p // side))


def covered(height: int, width: int, *, p: int, grid: tuple[int, int], like: Tensor) -> Tensor:
    """(gh, gw): the share of each patch that lies inside the image; 1, but for those that the border cuts.

    Args:
        height: H, pixels.
        width: W.
        p: patch side.
        grid: (gh, gw); a patch without a pixel counts as if it had a row, or a column, of them.
        like: for dtype and device.
    """
    rows, cols = (_covered(size, n, p=p, device=like.device) for size, n in zip((height, width), grid, strict=True))
    return (rows[:, None] * cols).to(like.dtype) / p**2


def _covered(size: int, n: int, *, p: int, device: torch.device) -> Tensor:
    """(n,): how many pixels of each patch lie inside the image."""
    return (size - p * torch.arange(n, device=device)).clamp(min=1, max=p)
