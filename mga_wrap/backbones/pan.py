"""PAN (Zhao et al., ECCVW 2020): pixel attention at low and at high resolution, and the paper's refine tail for it."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from mga_wrap.backbones.registry import register_backbone
from mga_wrap.errors import ArgumentError
from mga_wrap.nets.trim import ShrinkingConv2d

SCALES = (2, 3, 4)
_SLOPE = 0.2


class PA(nn.Module):
    """Pixel attention: every value is weighed by a sigmoid that a 1x1 convolution predicts from its pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Weigh feature (B, C, H, W); the shape stays."""
        return feature * torch.sigmoid(self.conv(feature))


class PAConv(nn.Module):
    """Two 3x3 convolutions; the output of the first is weighed by pixel attention on the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.k2 = nn.Conv2d(channels, channels, 1)
        self.k3 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.k4 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Convolve feature (B, C, H, W); the shape stays."""
        convolved: torch.Tensor = self.k4(self.k3(feature) * torch.sigmoid(self.k2(feature)))
        return convolved


class SCPA(nn.Module):
    """Self-calibrated block: half of the channels see a plain 3x3 convolution, half a PAConv; a local skip around.

    Args:
        nf: channels in and out, an even number.
    """

    def __init__(self, nf: int) -> None:
        super().__init__()
        half = nf // 2
        self.conv1_a = nn.Conv2d(nf, half, 1, bias=False)
        self.conv1_b = nn.Conv2d(nf, half, 1, bias=False)
        self.k1 = nn.Sequential(nn.Conv2d(half, half, 3, padding=1, bias=False))
        self.PAConv = PAConv(half)
        self.conv3 = nn.Conv2d(2 * half, nf, 1, bias=False)
        self.lrelu = nn.LeakyReLU(_SLOPE)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Refine feature (B, nf, H, W); the shape stays."""
        plain = self.lrelu(self.k1(self.lrelu(self.conv1_a(feature))))  # (B, nf / 2, H, W)
        weighed = self.lrelu(self.PAConv(self.lrelu(self.conv1_b(feature))))  # (B, nf / 2, H, W)
        change: torch.Tensor = self.conv3(torch.cat((plain, weighed), dim=1))  # (B, nf, H, W)
        return feature + change


@register_backbone("pan")
class PAN(nn.Module):
    """Pixel attention network; parameter names are those of the published checkpoints, which load strictly.

    Args:
        scale: 2, 3 or 4.
        nf: channels of the body, an even number.
        unf: channels of the upsampler.
        nb: number of SCPA blocks.
        channels: channels of the image.

    Raises:
        ArgumentError: ``scale`` is not 2, 3 or 4, or ``nf`` is odd.

    Source: paper section 4, which builds its Base-Net (nb=12) and Refine-Net (4 blocks) from this network.
    """

    def __init__(self, *, scale: int, nf: int = 40, unf: int = 24, nb: int = 16, channels: int = 3) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ArgumentError(f"got scale={scale!r} for PAN; expected one of {SCALES}")
        if nf % 2:
            raise ArgumentError(f"got nf={nf} for PAN; expected an even number, its blocks halve the channels")
        self.scale = scale
        self.conv_first = nn.Conv2d(channels, nf, 3, padding=1)
        self.SCPA_trunk = nn.Sequential(*[SCPA(nf) for _ in range(nb)])
        self.trunk_conv = nn.Conv2d(nf, nf, 3, padding=1)
        self.upconv1 = nn.Conv2d(nf, unf, 3, padding=1)
        self.att1 = PA(unf)
        self.HRconv1 = nn.Conv2d(unf, unf, 3, padding=1)
        if scale == 4:  # enlarged in two steps of 2
            self.upconv2 = nn.Conv2d(unf, unf, 3, padding=1)
            self.att2 = PA(unf)
            self.HRconv2 = nn.Conv2d(unf, unf, 3, padding=1)
        self.conv_last = nn.Conv2d(unf, channels, 3, padding=1)
        self.lrelu = nn.LeakyReLU(_SLOPE)

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """Enlarge lr (B, channels, H, W), values in 0..1, to (B, channels, scale * H, scale * W)."""
        shallow = self.conv_first(lr)  # (B, nf, H, W)
        feature = shallow + self.trunk_conv(self.SCPA_trunk(shallow))
        detail = self.upsample(feature)  # (B, channels, scale * H, scale * W)
        return detail + F.interpolate(lr, scale_factor=self.scale, mode="bilinear", align_corners=False)

    def upsample(self, feature: torch.Tensor) -> torch.Tensor:
        """Run the upsampler: feature (B, nf, H, W) to detail (B, channels, scale * H, scale * W)."""
        step = 2 if self.scale == 4 else self.scale
        up = self.upconv1(F.interpolate(feature, scale_factor=step, mode="nearest"))
        up = self.lrelu(self.HRconv1(self.lrelu(self.att1(up))))
        if self.scale == 4:
            up = self.upconv2(F.interpolate(up, scale_factor=2, mode="nearest"))
            up = self.lrelu(self.HRconv2(self.lrelu(self.att2(up))))
        detail: torch.Tensor = self.conv_last(up)
        return detail

    def paper_refine_tail(self) -> PANRefineTail:
        """Build the upsampler of the paper's Refine-Net, starting from a copy of this network's weights.

        This network is not changed, and shares no parameter with the tail.
        """
        return PANRefineTail(self)


class PANRefineTail(nn.Module):
    """The upsampler of the paper's Refine-Net for PAN, which takes the ring around a window off at high resolution.

    Two convolutions (three at x3) run without padding on windows. At x3 there is a convolution ``HRconv_extra``
    that the Base-Net does not have; it starts as the identity. The bilinear copy of lr is not added here.

    Args:
        pan: the network whose upsampler is copied.

    Source: paper section 4, "The upsampler runs on the 6x6 patch and shrinks at HR size".
    """

    def __init__(self, pan: PAN) -> None:
        super().__init__()
        self.scale = pan.scale
        self.upconv1 = ShrinkingConv2d.copy_of(pan.upconv1)
        self.att1 = copy.deepcopy(pan.att1)
        self.HRconv1 = copy.deepcopy(pan.HRconv1)
        if self.scale == 3:
            self.HRconv_extra = ShrinkingConv2d.identity_like(pan.HRconv1)
        if self.scale == 4:
            self.upconv2 = copy.deepcopy(pan.upconv2)
            self.att2 = copy.deepcopy(pan.att2)
            self.HRconv2 = ShrinkingConv2d.copy_of(pan.HRconv2)
        self.conv_last = ShrinkingConv2d.copy_of(pan.conv_last)
        self.lrelu = nn.LeakyReLU(_SLOPE)

    def forward(self, feature: torch.Tensor, *, shrink: bool) -> torch.Tensor:
        """Enlarge windows, or a whole feature map, to their detail.

        Args:
            feature: (N, nf, h, w), windows with a halo of 1 on each side when ``shrink``.
            shrink: True for windows (the halo is used up), False for variant D on a whole map (every layer padded).

        Returns:
            (N, channels, scale * (h - 2), scale * (w - 2)) when ``shrink``, else (N, channels, scale * h, scale * w).
        """
        # Sides at high resolution for h = 6, shrinking: x2 12 10 10 8, x3 18 16 16 14 12, x4 12 10 10 | 20 20 18 16.
        step = 2 if self.scale == 4 else self.scale
        up = self.upconv1(F.interpolate(feature, scale_factor=step, mode="nearest"), shrink=shrink)
        up = self.lrelu(self.HRconv1(self.lrelu(self.att1(up))))
        if self.scale == 3:
            up = self.lrelu(self.HRconv_extra(up, shrink=shrink))
        if self.scale == 4:
            up = self.upconv2(F.interpolate(up, scale_factor=2, mode="nearest"))
            up = self.lrelu(self.HRconv2(self.lrelu(self.att2(up)), shrink=shrink))
        detail: torch.Tensor = self.conv_last(up, shrink=shrink)
        return detail
