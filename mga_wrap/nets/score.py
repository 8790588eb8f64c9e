"""The score: the error that the coarse image is expected to leave in each patch, from statistics of the patch."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mga_wrap.config import Amount
from mga_wrap.nets.bilinear import Bilinear
from mga_wrap.nets.mask import average, covered
from mga_wrap.nets.patches import grid_size, patch_count

HIDDEN = 64
"""Channels of the small network on the patch grid."""
IMAGE_STATISTICS = 13
"""How many statistics are taken of lr and of the coarse image."""
CALIBRATED = 8
"""Losses for which a threshold is kept."""
FLOOR = 1e-7
"""Added to squared errors and energies before the logarithm: half a level of 8 bits squared is 4e-6."""


class ScorePredictor(nn.Module):
    """Predict the logarithm of each patch's mean squared error, coarse image to the original's output.

    That is what refining the patch takes away. Beside it the error that the original itself is expected to leave, to
    the image as it really was, is predicted: together they say how many dB an unrefined patch costs (k="auto").

    Each patch is described by pooled statistics: of every channel of the feature mean and logarithm of the standard
    deviation; of the images the logarithms of mean and spread of the squared gradient, of the detail that the coarse
    image adds to bilinear interpolation, of what it changes at lr's resolution, and of lr's own fine detail. A few
    small convolutions on the patch grid turn them into one number, so that neighbours count. Everything with
    weights runs once a patch: 1/p² of the MACs of convolutions on the feature.

    Until it is fitted (`mga_wrap.fit`) the score is the logarithm of lr's own squared gradient.

    Args:
        channels: C of the feature.
        scale: sides of sr over sides of lr.
        zoom: sides of sr over sides of the feature.

    Attributes:
        by_area: a patch that the border cuts counts for the pixels that it has. It is off in what was saved before
            there was such a thing, and choices stay as they were; fitting turns it on.
    """

    def __init__(self, channels: int, *, scale: int, zoom: int) -> None:
        super().__init__()
        self.scale, self.zoom, self.enlarged, self.by_area = scale, zoom, Bilinear(1, scale), True
        inputs = 2 * channels + IMAGE_STATISTICS
        self.enter = nn.Conv2d(inputs, HIDDEN, 1)
        self.around = nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1, padding_mode="replicate")
        self.mix = nn.Conv2d(HIDDEN, HIDDEN, 1)
        self.leave = nn.Conv2d(HIDDEN, 2, 1)
        self.direct = nn.Conv2d(inputs, 2, 1, bias=False)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.direct.weight)
        with torch.no_grad():  # before it is fitted: where neighbouring pixels of lr differ
            self.direct.weight[:, 2 * channels : 2 * channels + 2] = 0.5
        self.mean: Tensor
        self.deviation: Tensor
        self.level: Tensor
        self.calibration: Tensor
        self.register_buffer("mean", torch.zeros(1, inputs, 1, 1))
        self.register_buffer("deviation", torch.ones(1, inputs, 1, 1))
        self.register_buffer("level", torch.tensor([[0.0, 0.0], [1.0, 1.0]]))  # means, deviations of the logarithms
        self.fitted: Tensor
        self.register_buffer("calibration", torch.zeros(CALIBRATED, 3))  # (loss in dB, factor, share)
        self.register_buffer("fitted", torch.tensor(False))

    def forward(self, feature: Tensor, lr: Tensor, coarse: Tensor, *, p: int) -> Tensor:
        """Say what each patch costs.

        Args:
            feature: (B, C, H, W), the coarse feature.
            lr: (B, 3, h, w).
            coarse: (B, 3, s*h, s*w).
            p: patch side in feature pixels.

        Returns:
            (B, 2, gh, gw), natural logarithms of squared errors on luma, values in 0..1: the one that refining takes
            away, which is the score, and the one that it leaves. Means over the patch, by area times the share of it
            that lies inside the image.
        """
        predicted = self.predict(self.statistics(feature, lr, coarse, p=p))
        if not self.by_area:
            return predicted
        return predicted + self.area(feature, p=p, like=predicted).log()

    def area(self, feature: Tensor, *, p: int, like: Tensor) -> Tensor:
        """(gh, gw): what each patch counts for; like: (..., gh, gw), for dtype and device."""
        height, width = feature.shape[-2:]
        grid = (like.shape[-2], like.shape[-1])
        return covered(height, width, p=p, grid=grid, like=like) if self.by_area else like.new_ones(grid)

    def extra_repr(self) -> str:
        """Two that choose otherwise print otherwise, and are told apart by it."""
        return f"by_area={self.by_area}"

    def predict(self, statistics: Tensor) -> Tensor:
        """(B, inputs, gh, gw) -> (B, 2, gh, gw): logarithms of what refining takes away, and leaves."""
        standardised = (statistics - self.mean.float()) / self.deviation.float()
        standardised = standardised.to(self.enter.weight.dtype)
        x = F.gelu(self.enter(standardised))
        x = x + F.gelu(self.around(x))
        x = x + F.gelu(self.mix(x))
        predicted = (self.leave(x) + self.direct(standardised)).float()
        mean, deviation = self.level.float().view(2, 1, 2, 1, 1).unbind()  # tracing minds an iteration
        return predicted * deviation + mean

    def statistics(self, feature: Tensor, lr: Tensor, coarse: Tensor, *, p: int) -> Tensor:
        """What is known of each patch: (B, inputs, gh, gw), float32; arguments as for `forward`."""
        grid = grid_size(feature.shape[-2], feature.shape[-1], p)
        mean, square = _moments(feature, p=p)
        spread = (square - mean.square()).clamp(min=0).sqrt()
        grey, grey_coarse = _grey(lr.float()), _grey(coarse.float())
        small = F.avg_pool2d(grey_coarse[:, None], self.scale)[:, 0]
        bilinear = self.enlarged(grey[:, None])[:, 0]
        at_lr = [_rows(grey), _columns(grey), _detail(grey), (small - grey).square()]
        at_sr = [_rows(grey_coarse) + _columns(grey_coarse), (grey_coarse - bilinear).square()]
        side = p * self.zoom // self.scale
        maps = [(x, side) for x in at_lr] + [(x, p * self.zoom) for x in at_sr]  # one by one: no copy of them all
        means = torch.cat([average(x[:, None], p=each, grid=grid) for x, each in maps], dim=1)
        squares = [average(x.square()[:, None], p=each, grid=grid) for x, each in maps]
        spreads = torch.cat(squares, dim=1).clamp(min=0).sqrt()
        level = average(grey[:, None], p=side, grid=grid)
        logs = [(spread + 1e-3).log(), (means + FLOOR).log(), (spreads + FLOOR).log()]
        return torch.cat([mean, *logs, level], dim=1)

    @property
    def is_calibrated(self) -> bool:
        """Whether `needed` and `usual_share` know what a loss in dB takes."""
        return bool((self.calibration[:, 0] > 0).all())

    def needed(self, predicted: Tensor, max_loss: float) -> int:
        """How many patches of one image have to be refined to lose no more, by what is predicted.

        Args:
            predicted: (1, 2, gh, gw), from `predict`.
            max_loss: dB below the original.
        """
        taken, left = predicted[0].double().flatten(1).exp()
        factor = self._calibrated(max_loss, 1)
        allowed = allowance(max_loss) * factor * left.sum()
        still = taken.sum() - taken.sort(descending=True).values.cumsum(0)  # after the first, the second, ...
        return int((taken.sum() > allowed).long() + (still > allowed).sum())

    def usual_share(self, max_loss: float) -> float:
        """The share of patches that this was, on average, where the network was fitted."""
        return self._calibrated(max_loss, 2)

    def _calibrated(self, max_loss: float, column: int) -> float:
        """Interpolated over the logarithm of the loss; beyond the losses that were tried, that of the nearest."""
        table = self.calibration.double().cpu().numpy()
        return float(np.interp(math.log(max_loss), np.log(table[:, 0]), table[:, column]))


def neediest(score: Tensor, k: Amount) -> Tensor:
    """(B, gh, gw) -> (B, k): the positions of the k patches with the largest score."""
    flat = score.flatten(1)
    return flat.topk(patch_count(k, flat.shape[1]), dim=1, sorted=False).indices


def score_of(predicted: Tensor) -> Tensor:
    """(B, gh, gw), which a `MaskPredictor` returns, or the first of a `ScorePredictor`'s two."""
    return predicted[:, 0] if predicted.ndim == 4 else predicted


def allowance(loss: float) -> float:
    """By how much a squared error may grow, over itself, for a loss in dB."""
    return float(10 ** (loss / 10) - 1)


def _moments(feature: Tensor, *, p: int) -> tuple[Tensor, Tensor]:
    """Means over each patch of a feature and of its square, (B, C, gh, gw) each, float32."""
    if feature.device.type != "cpu" or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return average(feature.float(), p=p), average(feature.float().square(), p=p)
    rows = []
    for one in feature.split(p, dim=2):  # a row of patches at a time: what lies in the cache is squared sooner
        row = one.float()
        rows.append((average(row, p=p), average(row.square(), p=p)))
    means, squares = zip(*rows, strict=True)
    return torch.cat(means, dim=2), torch.cat(squares, dim=2)


def _grey(x: Tensor) -> Tensor:
    """The mean of the channels, (B, H, W): what ``mean`` gives, which is slow where they lie together.

    Without an axis for the one channel, for torch and OpenVINO take it for channels last, and are slow then.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return x.mean(dim=1)
    first, *others = x.unbind(1)
    return sum(others, first) / x.shape[1]


def _rows(x: Tensor) -> Tensor:
    """The squared difference to the pixel on the right, (B, H, W)."""
    return F.pad((x[..., 1:] - x[..., :-1]).square(), [0, 1, 0, 0])


def _columns(x: Tensor) -> Tensor:
    """The squared difference to the pixel below, (B, H, W)."""
    return F.pad((x[..., 1:, :] - x[..., :-1, :]).square(), [0, 0, 0, 1])


def _detail(x: Tensor) -> Tensor:
    """The squared difference to the mean of the 3 x 3 around, (B, H, W)."""
    around = F.pad(x[:, None], [1] * 4, mode="replicate")
    return (x - F.avg_pool2d(around, 3, stride=1)[:, 0]).square()
