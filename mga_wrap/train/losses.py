"""The losses by name, and what they look at: each image is computed once a step, and only if a loss asks for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial

import torch
from torch import Tensor
from torch.nn import functional as F

from mga_wrap.fitting.samples import patch_errors
from mga_wrap.measure.error_mask import error_mask, luma, patch_side
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.score import FLOOR, ScorePredictor


class Outputs:
    """What a network makes of a batch of lr crops, and what it should make of it.

    Args:
        net: the network that learns.
        lr: (B, 3, H, W).
        hr: (B, 3, s*H, s*W), the same value range; None: there is none, and the original's output is the target.
        teacher: holds the original's weights where `net` no longer does; None: `net` itself does.
        taught: the original's output is the target, even where there is hr.
        original: (B, 3, s*H, s*W), the original's output, where it is known already.

    Attributes:
        coarse: (B, 3, s*H, s*W), the Base-Net's image.
        crossing: what crosses the cut, the feature first.
    """

    def __init__(
        self,
        net: MGANet,
        lr: Tensor,
        hr: Tensor | None,
        *,
        teacher: MGANet | None = None,
        taught: bool = False,
        original: Tensor | None = None,
    ) -> None:
        self.net, self.lr, self.hr, self._teacher = net, lr, hr, teacher
        self._taught, self._given = taught or hr is None, original
        self.coarse, *self.crossing = net.base(lr)  # at once: every loss needs it, some ask for it under no_grad

    @cached_property
    def refined(self) -> Tensor:
        """(B, 3, s*H, s*W): every patch refined."""
        return self.net.refine_patches(self.coarse, self.crossing, self.net.every_patch(self.crossing[0]))

    @cached_property
    def dense(self) -> Tensor:
        """(B, 3, s*H, s*W): the Refine-Net once over the whole map."""
        return self.net.refine(*(x.clone() for x in self.crossing), dense=True)  # a tail may write into its input

    @cached_property
    def original(self) -> Tensor:
        """(B, 3, s*H, s*W): the original network's output; nothing learns from it."""
        if self._given is not None:
            return self._given
        return (self.dense if self._teacher is None else self._teacher(self.lr, k="dense")).detach()

    @property
    def target(self) -> Tensor:
        """(B, 3, s*H, s*W): hr, or the original network's output; nothing learns from it."""
        if self._taught:
            return self.original
        assert self.hr is not None
        return self.hr

    @property
    def whole(self) -> Tensor:
        """(B, 3, s*H, s*W): what the network's patches show when they are refined; nothing learns from it."""
        known = self._given is not None and self._teacher is None
        return self.original if known else self.dense.detach()

    @cached_property
    def score(self) -> Tensor:
        """(B, gh, gw): the predicted error."""
        return self.net.score(self.crossing[0], self.lr, self.coarse)

    @cached_property
    def true_mask(self) -> Tensor:
        """(B, gh, gw) in 0..1, see `mask.true_mask`; in style "pretrained" the whole map stands for every patch.

        Nothing learns from it, but another loss may from the image that it takes.
        """
        dense = "refined" not in self.__dict__ and self.net.config.style == "pretrained"
        refined = self.whole if dense else self.refined
        return error_mask(self.coarse.detach(), refined.detach(), side=patch_side(self.net), grid=self.score.shape[-2:])

    @property
    def gated(self) -> Tensor:
        """(B, 3, s*H, s*W): between coarse (score 0) and refined (score 1), so that the score learns from the image."""
        score = F.interpolate(self.score[:, None], scale_factor=patch_side(self.net), mode="nearest")
        gate = score[..., : self.coarse.shape[-2], : self.coarse.shape[-1]]
        return self.coarse + gate * (self.refined - self.coarse)


def squared_error(image: Tensor, target: Tensor) -> Tensor:
    """100 times: half the mean squared error of RGB plus that of luma.

    PSNR on luma is what the field reports and squared errors are what it counts: for the last steps of a training.
    Of a small network's squared error in RGB a fifth is chroma, which the eye sees least.
    """
    error = image - target
    return 100 * (0.5 * error.square().mean() + luma(error).square().mean())


def psnr_loss(image: Tensor, target: Tensor) -> Tensor:
    """The mean over crops of log10 of the mean squared error of luma: PSNR itself, but for a sign and a factor.

    A squared error cares for the hardest crops alone; the field averages decibels, in which an easy image counts as
    much as a hard one. RGB has a tenth of the weight, so that colours stay.
    """
    error = image - target
    squared = luma(error).square().mean(dim=(1, 2, 3)) + 0.1 * error.square().mean(dim=(1, 2, 3))
    return (squared + 1e-6).log10().mean()  # 60 dB: a flat crop pulls no harder than that


def psnr_rgb_loss(image: Tensor, target: Tensor) -> Tensor:
    """The mean over crops of log10 of the mean squared error of all channels alike."""
    return ((image - target).square().mean(dim=(1, 2, 3)) + 1e-6).log10().mean()


SHARP_SIDE = 8
"""Side in pixels of the squares over which sharpness is averaged: an edge may lie a little beside its place."""


def sharpness(image: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, h, w): the root mean square gradient of luma over overlapping squares of `SHARP_SIDE`.

    Squares, since the sum of the gradient over an edge is its height, however soft it is. A figure to tell how sharp an
    image is (`examples/front.py`); what is learned from is `sharpness_loss`.
    """
    y = luma(image)
    return _local(y.diff(dim=-2)[..., :-1].square() + y.diff(dim=-1)[..., :-1, :].square())


def sharpness_loss(image: Tensor, target: Tensor) -> Tensor:
    """How far each place is from being as sharp as the target, over how sharp the target is.

    Errors of pixels alone are smallest for a mean of all that might be there, which is soft. Beside patches that are
    not, a viewer sees it. Differences across and down count each for themselves, of pixels and of means of 2 x 2: a
    pattern of single pixels is as steep as a line, but in both directions, and gone in the means.
    """
    errors = []
    y, wanted = luma(image), luma(target)
    for step in (1, 2):
        for dim in (-1, -2):
            local = _local(_difference(wanted, step, dim).square())
            errors.append((_local(_difference(y, step, dim).square()) - local).abs().mean() / local.mean())
        y, wanted = (F.avg_pool2d(x, 2, stride=1) for x in (y, wanted))
    return torch.stack(errors).mean()


def _difference(y: Tensor, step: int, dim: int) -> Tensor:
    """Of pixels that are `step` apart along `dim`."""
    length = y.shape[dim] - step
    return y.narrow(dim, step, length) - y.narrow(dim, 0, length)


def _local(squared: Tensor) -> Tensor:
    """(B, 1, H, W) -> (B, h, w): the root mean over squares that overlap by half; a thousandth where there is none."""
    side = min(SHARP_SIDE, *squared.shape[-2:])
    return (F.avg_pool2d(squared, side, stride=max(1, side // 2)) + 1e-6).sqrt().squeeze(1)


def mask_l1(out: Outputs) -> Tensor:
    """L1(score, the true mask) (paper, second training stage); no target image is needed."""
    return F.l1_loss(out.score, out.true_mask)


def score_loss(out: Outputs) -> Tensor:
    """What teaches the score, whichever kind the network has: nothing but the score learns from it.

    A `ScorePredictor`: the squared error of the logarithms that it predicts, over the deviation that they had when it
    was standardised (`standardise`). Where there is no HR, what the original leaves has no target.
    A `MaskPredictor`: 10 times `mask_l1`, as in the paper.
    """
    score = out.net.mask
    if not isinstance(score, ScorePredictor):
        return 10 * mask_l1(out)
    statistics, wanted = known_and_wanted(out)
    known = wanted.shape[1]
    return ((score.predict(statistics)[:, :known] - wanted) / score.level[1, :known].view(1, -1, 1, 1)).square().mean()


def known_and_wanted(out: Outputs) -> tuple[Tensor, Tensor]:
    """What a `ScorePredictor` knows of each patch (B, inputs, gh, gw), and what it should say of it.

    That is (B, 2, gh, gw), the logarithms of what refining takes away, and leaves; without HR the first alone.
    """
    net, coarse, whole = out.net, out.coarse.detach().float(), out.whole.float()
    assert isinstance(net.mask, ScorePredictor)
    statistics = net.mask.statistics(out.crossing[0].detach(), out.lr, coarse, p=net.p)
    grid = (statistics.shape[-2], statistics.shape[-1])
    errors = [patch_errors(net, coarse, whole, grid=grid)]
    if out.hr is not None:
        errors.append(patch_errors(net, whole, out.hr.float(), grid=grid))
    return statistics, torch.stack(errors, dim=1).add(FLOOR).log()


SCORE = "score"
"""The loss that fits the score of any network."""

IMAGES = ("coarse", "refined", "dense")
"""Of `Outputs`."""

MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": F.l1_loss,
    "squared": squared_error,
    "psnr": psnr_loss,
    "psnr_rgb": psnr_rgb_loss,
    "sharpness": sharpness_loss,
}
"""How an image differs from the target."""


def _of_image(out: Outputs, *, image: str, measure: str) -> Tensor:
    return MEASURES[measure](getattr(out, image).float(), out.target.float())  # bf16 may compute images, not errors


LOSSES: dict[str, Callable[[Outputs], Tensor]] = {
    **{f"{image}_{name}": partial(_of_image, image=image, measure=name) for image in IMAGES for name in MEASURES},
    "gated_l1": lambda out: F.l1_loss(out.gated, out.target),
    "mask_l1": mask_l1,
    SCORE: score_loss,
}
"""Each by its name: of an image, or of the score."""
