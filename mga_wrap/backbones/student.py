"""A student: plain 3x3 convolutions in residual blocks, for the whole image beside a large network that refines."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from mga_wrap.backbones.registry import register_backbone
from mga_wrap.errors import ArgumentError

SCALES = (2, 3, 4)
_SLOPE = 0.05
_QUIET = 0.1
"""Of the usual size: what a fresh block adds to its input."""
_TAIL = 0.03
"""Of the usual size: what a fresh tail adds to the interpolated image."""


class PlainBlock(nn.Module):
    """Three 3x3 convolutions with activations between them, added to what came in.

    Args:
        channels: channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = nn.LeakyReLU(_SLOPE)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Refine feature (B, C, H, W); the shape stays."""
        inner = self.act(self.conv2(self.act(self.conv1(feature))))
        return feature + self.act(self.conv3(inner))


@register_backbone("student")
class Student(nn.Module):
    """Residual blocks of plain convolutions on lr, one convolution and a PixelShuffle, the interpolated image added.

    Nothing pools, strides or looks further than its convolutions do, so an image of any size is taken and a window is
    exact with a halo of three pixels a block. 32 channels fill whole vector registers of a processor.

    Args:
        scale: 2, 3 or 4.
        channels: channels of the body.
        blocks: number of blocks: 6 take 181 K MACs an lr pixel at x4, 3 take 98 K.

    Raises:
        ArgumentError: ``scale`` is not 2, 3 or 4, or there is no channel or no block.

    Source: blocks of three plain convolutions without distillation are those of RLFN (Kong et al., CVPRW 2022), here
        without attention, whose pooling makes windows inexact; the added image is usual (PAN, ECBSR).
    """

    def __init__(self, *, scale: int, channels: int = 32, blocks: int = 6) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ArgumentError(f"got scale={scale!r} for Student; expected one of {SCALES}")
        if channels < 1 or blocks < 1:
            raise ArgumentError(f"got channels={channels} and blocks={blocks} for Student; expected at least 1 of each")
        self.scale = scale
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.body = nn.Sequential(*[PlainBlock(channels) for _ in range(blocks)])
        self.upsampler = nn.Sequential(nn.Conv2d(channels, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))
        self._initialise()

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """Enlarge lr (B, 3, H, W), values in 0..1, to (B, 3, scale * H, scale * W)."""
        feature = self.body(self.head(lr))  # (B, C, H, W)
        sr: torch.Tensor = self.upsampler(feature) + F.interpolate(lr, scale_factor=self.scale, mode="bilinear")
        return sr

    @torch.no_grad()
    def _initialise(self) -> None:
        """A fresh network is nearly bilinear interpolation."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=_SLOPE, nonlinearity="leaky_relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        for block in self.body:
            assert isinstance(block, PlainBlock)
            block.conv3.weight.mul_(_QUIET)
        tail = self.upsampler[0]
        assert isinstance(tail, nn.Conv2d)
        tail.weight.mul_(_TAIL)


@register_backbone("student-half")
class HalfStudent(Student):
    """`Student` with three blocks: 98 K MACs an lr pixel at x4.

    Args:
        scale: 2, 3 or 4.

    Raises:
        ArgumentError: ``scale`` is not 2, 3 or 4.
    """

    def __init__(self, *, scale: int) -> None:
        super().__init__(scale=scale, blocks=3)
