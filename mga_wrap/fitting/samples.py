"""What the network and the original make of some crops, computed once and kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mga_wrap.errors import TrainingError
from mga_wrap.fitting.sources import Crop
from mga_wrap.nets.light import LightTail
from mga_wrap.nets.mask import average
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.score import FLOOR, ScorePredictor
from mga_wrap.pictures.metrics import LUMA


@dataclass
class Sample:
    """One crop and what became of it."""

    lr: Tensor
    hr: Tensor
    feature: Tensor
    """(1, C, h, w)."""
    original: Tensor
    """(1, 3, s*side, s*side): what the whole network makes of lr."""
    coarse: Tensor
    """The Base-Net's image, as its coarse tail is now."""

    def refresh(self, net: MGANet) -> None:
        """Make the coarse image again: the coarse tail has learned."""
        with torch.no_grad():
            tail = light_tail(net)
            self.coarse = net.base(self.lr)[0] if tail is None else tail(self.feature, self.lr)


def light_tail(net: MGANet) -> LightTail | None:
    """The Base-Net's own tail, which needs the feature and lr alone."""
    tail = getattr(net.base, "coarse_tail", None)
    return tail if isinstance(tail, LightTail) else None


@torch.no_grad()
def sample(net: MGANet, crop: Crop) -> Sample:
    """Run everything on one crop.

    Raises:
        TrainingError: the original returns NaN or infinity.
    """
    like = next(net.parameters())
    lr, hr = (x.to(like).contiguous(memory_format=torch.channels_last) for x in (crop.lr, crop.hr))
    coarse, *crossing = net.base(lr)
    feature = crossing[0].clone()  # a tail may write into its input
    original = net.refine(*crossing, dense=True)
    if not bool(original.isfinite().all()):
        raise TrainingError(
            f"the original returns NaN or infinity for a crop of {lr.shape[-1]} x {lr.shape[-2]} lr pixels; expected "
            "an image: check its weights and the range of values that it takes (0..1)"
        )
    return Sample(lr, hr, feature, original, coarse)


def luma(image: Tensor) -> Tensor:
    """(B, 3, H, W) in 0..1 -> (B, 1, H, W) of BT.601 in studio range, as PSNR-Y counts; other channels averaged."""
    if image.shape[1] != len(LUMA):
        return image.mean(dim=1, keepdim=True)
    weights = torch.tensor(LUMA, device=image.device, dtype=image.dtype).view(1, 3, 1, 1) / 255
    return (image * weights).sum(dim=1, keepdim=True)


def patch_errors(net: MGANet, one: Tensor, two: Tensor, *, grid: tuple[int, int]) -> Tensor:
    """(B, gh, gw): mean squared difference of luma in each patch, both images clipped as they are looked at."""
    squared = (luma(one.clamp(0, 1)) - luma(two.clamp(0, 1))).square()
    return average(squared, p=net.p * net.geometry.zoom, grid=grid)[:, 0]


@torch.no_grad()
def known_and_wanted(net: MGANet, given: Sample) -> tuple[Tensor, Tensor]:
    """What the score knows of each patch (1, inputs, gh, gw), and what it is to say of it (1, 2, gh, gw)."""
    assert isinstance(net.mask, ScorePredictor)
    statistics = net.mask.statistics(given.feature, given.lr, given.coarse, p=net.p)
    grid = (statistics.shape[-2], statistics.shape[-1])
    taken = patch_errors(net, given.coarse, given.original, grid=grid)
    left = patch_errors(net, given.original, given.hr, grid=grid)
    return statistics, torch.stack([taken, left], dim=1).add(FLOOR).log()
