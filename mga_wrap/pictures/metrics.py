"""PSNR and SSIM as the field reports them: 8-bit images, Y of BT.601 studio range, a shaved border."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mga_wrap.errors import ArgumentError, ImageError

Channels = Literal["y", "rgb"]

LUMA = (65.481, 128.553, 24.966)
"""Y of YCbCr less 16, BT.601 studio range, for RGB in 0..1."""

_WINDOW = 11
_SIGMA = 1.5
_C1 = (0.01 * 255) ** 2
_C2 = (0.03 * 255) ** 2


def rgb_to_y(image: np.ndarray) -> np.ndarray:
    """Return the luma Y of YCbCr (BT.601, studio range), not rounded.

    Args:
        image: (..., 3) RGB, uint8 or floating point, values in 0..255.

    Returns:
        (...) float64, 16 for black to 235 for white.

    Raises:
        ImageError: the last axis is not 3 long.
    """
    if image.ndim == 0 or image.shape[-1] != 3:
        raise ImageError(f"got an array of shape {image.shape}; expected (..., 3) RGB")
    luma: np.ndarray = 16.0 + image.astype(np.float64) @ (np.array(LUMA) / 255.0)
    return luma


def psnr(sr: np.ndarray, hr: np.ndarray, *, border: int, channels: Channels = "y") -> float:
    """Return the peak signal-to-noise ratio in dB; ``inf`` for equal images.

    Args:
        sr: the restored image, uint8, (H, W, 3) RGB or (H, W) grey.
        hr: the true image, of the same shape.
        border: pixels shaved off each side before comparing; the field's custom is the scale.
        channels: ``"y"`` compares luma (a grey image is compared as it is), ``"rgb"`` all channels.

    Raises:
        ArgumentError: ``border`` is negative or ``channels`` unknown.
        ImageError: the shapes differ, an array is no 8-bit image, or the border leaves nothing.
    """
    a, b = _planes(sr, hr, border, channels, at_least=1)
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def ssim(sr: np.ndarray, hr: np.ndarray, *, border: int, channels: Channels = "y") -> float:
    """Return the structural similarity (Wang et al., 2004), 1 for equal images.

    An 11 x 11 Gaussian window (sigma 1.5) over valid positions, C1 = (0.01 * 255)^2, C2 = (0.03 * 255)^2; the mean
    over positions, and over the channels where there are three.

    Args:
        sr: the restored image, uint8, (H, W, 3) RGB or (H, W) grey.
        hr: the true image, of the same shape.
        border: pixels shaved off each side before comparing; the field's custom is the scale.
        channels: ``"y"`` compares luma (a grey image is compared as it is), ``"rgb"`` all channels.

    Raises:
        ArgumentError: ``border`` is negative or ``channels`` unknown.
        ImageError: the shapes differ, an array is no 8-bit image, or the border leaves less than 11 x 11 pixels.
    """
    a, b = _planes(sr, hr, border, channels, at_least=_WINDOW)
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a = _blur(a * a) - mean_a**2
    variance_b = _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    likeness /= (mean_a**2 + mean_b**2 + _C1) * (variance_a + variance_b + _C2)
    return float(likeness.mean())


def _planes(
    sr: np.ndarray, hr: np.ndarray, border: int, channels: str, *, at_least: int
) -> tuple[np.ndarray, np.ndarray]:
    """Check the pair, shave the border and return the float64 planes, each (H, W) or (H, W, 3), to compare."""
    if channels not in ("y", "rgb"):
        raise ArgumentError(f"got channels={channels!r}; expected 'y' or 'rgb'")
    if border < 0:
        raise ArgumentError(f"got border={border}; expected 0 or more pixels")
    if sr.shape != hr.shape:
        raise ImageError(f"got images of shapes {sr.shape} and {hr.shape}; crop both to the same size")
    for image in (sr, hr):
        if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
            raise ImageError(
                f"got an array of shape {image.shape} and dtype {image.dtype}; expected uint8 (H, W, 3) or (H, W): "
                "scale to 0..255, clip and round first"
            )
    height, width = sr.shape[0] - 2 * border, sr.shape[1] - 2 * border
    if min(height, width) < at_least:
        raise ImageError(
            f"got images of {sr.shape[1]} x {sr.shape[0]}, of which a border of {border} leaves "
            f"{max(width, 0)} x {max(height, 0)}; expected at least {at_least} x {at_least} pixels to compare"
        )
    inner = (slice(border, border + height), slice(border, border + width))
    as_luma = channels == "y" and sr.ndim == 3
    a, b = (rgb_to_y(image[inner]) if as_luma else image[inner].astype(np.float64) for image in (sr, hr))
    return a, b


def _blur(plane: np.ndarray) -> np.ndarray:
    """Mean under the Gaussian window at every valid position: (H, W[, 3]) to (H - 10, W - 10[, 3])."""
    offset = np.arange(_WINDOW) - _WINDOW // 2
    weight = np.exp(-(offset**2) / (2 * _SIGMA**2))
    weight /= weight.sum()
    height, width = plane.shape[0] - _WINDOW + 1, plane.shape[1] - _WINDOW + 1
    rows = sum(w * plane[i : i + height] for i, w in enumerate(weight))
    blurred: np.ndarray = sum(w * rows[:, i : i + width] for i, w in enumerate(weight))
    return blurred
