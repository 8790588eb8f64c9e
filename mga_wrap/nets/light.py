"""A light tail for the coarse image, for networks whose own tail costs as much as their body."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LightTail(nn.Module):
    """Two 3x3 convolutions and a PixelShuffle, added to the image enlarged by bilinear interpolation.

    The second convolution sees the feature beside what the first makes of it, so that it alone, which is linear, can be
    fitted by least squares (`mga_wrap.fit_coarse_tail`). Until then it is zero, and the coarse image is bilinear.

    Args:
        channels: C of the feature.
        image_channels: of lr and sr.
        scale: sides of sr over sides of lr.
        zoom: sides of sr over sides of the feature.
    """

    def __init__(self, channels: int, image_channels: int, *, scale: int, zoom: int) -> None:
        super().__init__()
        self.scale, self.zoom = scale, zoom
        hidden = max(1, channels // 2)
        self.first = nn.Conv2d(channels, hidden, 3, padding=1)
        self.last = nn.Conv2d(channels + hidden, image_channels * zoom**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]

    def forward(self, feature: Tensor, lr: Tensor) -> Tensor:
        """(B, C, h, w), (B, 3, H, W) -> (B, 3, s*H, s*W), in the value range of lr."""
        image = F.interpolate(lr, scale_factor=self.scale, mode="bilinear")
        detail = F.pixel_shuffle(self.last(self.widened(feature)), self.zoom)
        return image + detail[..., : image.shape[-2], : image.shape[-1]]  # a padded feature reaches further

    def widened(self, feature: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C + C // 2, h, w): what the second convolution sees."""
        return torch.cat([feature, F.leaky_relu(self.first(feature), 0.1)], dim=1)
