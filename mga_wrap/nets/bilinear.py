"""Bilinear interpolation; in a graph for other engines as a convolution, which they run several times as fast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_EXPORTED: ContextVar[bool] = ContextVar("exported for an engine", default=False)


@contextmanager
def for_engines() -> Iterator[None]:
    """What torch.export writes down meanwhile is for another engine, on the CPU and in float32."""
    token = _EXPORTED.set(True)
    try:
        yield
    finally:
        _EXPORTED.reset(token)


def is_for_engines() -> bool:
    """Whether what runs is written down for another engine."""
    return torch.jit.is_tracing() or _EXPORTED.get()


class Bilinear:
    """Enlarge (B, C, H, W) to (B, C, s*H, s*W) as ``F.interpolate(mode="bilinear")`` does.

    Each of the s * s pixels that one becomes is a weighted mean of the 3 x 3 around it: one convolution and a
    PixelShuffle, which is what is traced. OpenVINO's own interpolation of an image takes as long as four convolutions
    of 64 channels.

    Args:
        channels: C.
        scale: s.
    """

    def __init__(self, channels: int, scale: int) -> None:
        self.scale = scale
        self.kernel = torch.from_numpy(_kernel(scale, channels))  # made here, for tracing minds it

    def __call__(self, x: Tensor) -> Tensor:
        """Enlarge; an x that is traced is float32 and on the CPU."""
        if not is_for_engines():
            return F.interpolate(x, scale_factor=self.scale, mode="bilinear")
        return F.pixel_shuffle(self.before_shuffle(x), self.scale)

    def before_shuffle(self, x: Tensor) -> Tensor:
        """(B, C, H, W), traced as a call -> (B, C * s * s, H, W), of which a PixelShuffle makes the image."""
        return F.conv2d(F.pad(x, [1] * 4, mode="replicate"), self.kernel)


def _kernel(scale: int, channels: int) -> np.ndarray:
    """(C * s * s, C, 3, 3): the weights of the pixels around, for each pixel that comes of one."""
    away = (np.arange(scale) + 0.5) / scale - 0.5  # of its middle, in pixels of x
    line = np.stack([np.maximum(-away, 0), 1 - np.abs(away), np.maximum(away, 0)], axis=1)  # (s, 3)
    each = (line[:, None, :, None] * line[None, :, None, :]).reshape(scale**2, 3, 3)
    kernel = np.zeros((channels, scale**2, channels, 3, 3), np.float32)
    for channel in range(channels):
        kernel[channel, :, channel] = each
    return kernel.reshape(channels * scale**2, channels, 3, 3)
