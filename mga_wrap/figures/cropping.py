"""Crops of a picture: where the predicted error is largest, inside of the picture, cut out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mga_wrap.errors import ArgumentError

Crop = tuple[int, int, int, int]
"""Top, left, height and width in pixels."""


def neediest_crop(score: np.ndarray, *, side: int, size: Sequence[int], crop: Sequence[int]) -> Crop:
    """Where the mean score is largest.

    Args:
        score: (gh, gw).
        side: of a patch, in pixels of the picture.
        size: height and width of the picture.
        crop: height and width wanted, pixels.

    Returns:
        (top, left, height, width), inside the picture; smaller than wanted where the picture is.
    """
    height, width = min(crop[0], size[0]), min(crop[1], size[1])
    rows, columns = max(1, height // side), max(1, width // side)
    mean = np.lib.stride_tricks.sliding_window_view(score, (rows, columns)).mean(axis=(2, 3))
    top, left = np.unravel_index(mean.argmax(), mean.shape)
    return min(int(top) * side, size[0] - height), min(int(left) * side, size[1] - width), height, width


def cut_out(picture: np.ndarray, crop: Crop) -> np.ndarray:
    """The part of a picture (H, W, 3) that the crop names."""
    top, left, height, width = crop
    return picture[top : top + height, left : left + width]


def check_crop_inside(crop: Crop, shape: Sequence[int]) -> None:
    """A crop that lies inside a picture of this shape.

    Raises:
        ArgumentError: it does not.
    """
    top, left, height, width = crop
    if min(top, left) < 0 or min(height, width) < 1 or top + height > shape[0] or left + width > shape[1]:
        raise ArgumentError(
            f"got crop {crop}; expected (top, left, height, width) inside a picture of {shape[1]} x {shape[0]}"
        )
