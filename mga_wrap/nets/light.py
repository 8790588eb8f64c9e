"""A light tail for the coarse image, for networks whose own tail costs as much as their body."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mga_wrap.nets.bilinear import Bilinear, is_for_engines

DEPTH = 6
"""Most 3x3 convolutions before the last, unless told otherwise: each one more brings less, and costs time and steps."""


class LightTail(nn.Module):
    """3x3 convolutions with skips and a PixelShuffle, added to the image enlarged by bilinear interpolation.

    All but the last keep the resolution of the feature. The last convolution sees the feature beside what the others
    make of it, so that it alone, which is linear, can be fitted by least squares (`mga_wrap.fit_coarse_tail`). Until
    then it is zero, and the coarse image is bilinear.

    Args:
        channels: C of the feature.
        image_channels: of lr and sr.
        scale: sides of sr over sides of lr.
        zoom: sides of sr over sides of the feature.
        depth: convolutions before the last; 0: one, of half the channels.
    """

    def __init__(self, channels: int, image_channels: int, *, scale: int, zoom: int, depth: int = 0) -> None:
        super().__init__()
        self.scale, self.zoom, self.enlarged = scale, zoom, Bilinear(image_channels, scale)
        out = image_channels * zoom**2
        hidden = channels if depth else max(1, channels // 2)
        self.first = nn.Conv2d(channels, hidden, 3, padding=1)
        self.more = nn.ModuleList([nn.Conv2d(hidden, hidden, 3, padding=1) for _ in range(depth - 1)])
        self.last = nn.Conv2d(channels + hidden, out, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, feature: Tensor, lr: Tensor) -> Tensor:
        """(B, C, h, w), (B, 3, H, W) -> (B, 3, s*H, s*W), in the value range of lr."""
        detail = self.last(self.widened(feature))
        if is_for_engines() and self.zoom == self.scale:  # added up while small: engines have one shuffle less
            height, width = lr.shape[-2:]
            return F.pixel_shuffle(self.enlarged.before_shuffle(lr) + detail[..., :height, :width], self.zoom)
        image, detail = self.enlarged(lr), F.pixel_shuffle(detail, self.zoom)
        return image + detail[..., : image.shape[-2], : image.shape[-1]]  # a padded feature reaches further

    def widened(self, feature: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C + hidden, h, w): what the last convolution sees."""
        x = F.leaky_relu(self.first(feature), 0.1)
        for conv in self.more:
            x = x + F.leaky_relu(conv(x), 0.1)
        return torch.cat([feature, x], dim=1)


def depth_within(budget: float, channels: int, image_channels: int, *, zoom: int) -> int:
    """The `depth` of a light tail that takes at most `budget` MACs a pixel of the feature, and at most `DEPTH`."""
    last = 9 * 2 * channels * image_channels * zoom**2
    return max(0, min(int((budget - last) // (9 * channels**2)), DEPTH))
