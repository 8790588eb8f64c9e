"""The field's degradation: MATLAB's antialiased bicubic ``imresize``, to the last bit for uint8 images."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from mga_wrap.errors import ImageError


def resize_bicubic(image: np.ndarray, scale: float | Fraction) -> np.ndarray:
    """Resize an image as MATLAB's ``imresize(image, scale, "bicubic")`` does.

    The cubic kernel (a = -0.5) is widened by ``1 / scale`` when the image shrinks, borders are mirrored, rows come
    before columns, and a uint8 image is rounded (half up) and clipped after each of the two passes.

    Args:
        image: (H, W) or (H, W, C), uint8 in 0..255 or floating point in any range.
        scale: output size over input size, e.g. ``1 / 4`` or ``4``; output sides are ``ceil(side * scale)``.

    Returns:
        The resized image, of the dtype of ``image``.

    Raises:
        ImageError: the array is not an image, is empty, or ``scale`` is not positive.
    """
    if image.ndim not in (2, 3) or 0 in image.shape:
        raise ImageError(f"got an array of shape {image.shape}; expected a non-empty (H, W) or (H, W, C) image")
    if not (image.dtype == np.uint8 or np.issubdtype(image.dtype, np.floating)):
        raise ImageError(f"got dtype {image.dtype}; expected uint8 (0..255) or a floating point type")
    ratio = Fraction(scale).limit_denominator(1000)
    if ratio <= 0:
        raise ImageError(f"got scale {scale}; expected a positive number such as 4 or 1/4")
    return _resize_columns(_resize_rows(image, ratio), ratio)


def crop_to_multiple(image: np.ndarray, multiple: int) -> np.ndarray:
    """Crop (H, W[, C]) from the top left so that both sides are multiples of ``multiple``.

    Raises:
        ImageError: a side is smaller than ``multiple``, so that nothing would be left.
    """
    height, width = image.shape[0] // multiple * multiple, image.shape[1] // multiple * multiple
    if not height or not width:
        raise ImageError(f"got an image of {image.shape[1]} x {image.shape[0]}; both sides must be at least {multiple}")
    return image[:height, :width]


def _resize_columns(image: np.ndarray, ratio: Fraction) -> np.ndarray:
    return _resize_rows(image.swapaxes(0, 1), ratio).swapaxes(0, 1)


def _resize_rows(image: np.ndarray, ratio: Fraction) -> np.ndarray:
    """One pass along axis 0: a weighted sum over the taps, every row of the output at once."""
    index, weight = _taps(image.shape[0], ratio)
    out = np.zeros((index.shape[0], *image.shape[1:]))
    column = (slice(None),) + (None,) * (image.ndim - 1)
    for tap in range(index.shape[1]):
        out += weight[:, tap][column] * image[index[:, tap]]
    if image.dtype == np.uint8:
        return np.clip(np.floor(out + 0.5), 0, 255).astype(np.uint8)
    return out.astype(image.dtype)


def _taps(length: int, ratio: Fraction) -> tuple[np.ndarray, np.ndarray]:
    """Source rows (out, taps) and their weights, as MATLAB's ``contributions`` finds them."""
    scale = float(ratio)
    shrink = min(scale, 1.0)  # antialiasing widens the kernel only when the image shrinks
    width = 4.0 / shrink
    out = -(-length * ratio.numerator // ratio.denominator)
    centre = (np.arange(1, out + 1) / scale) + 0.5 * (1 - 1 / scale)
    index = np.floor(centre - width / 2)[:, None] + np.arange(int(np.ceil(width)) + 2)
    weight = shrink * _cubic(shrink * (centre[:, None] - index))
    weight /= weight.sum(axis=1, keepdims=True)
    mirror = np.concatenate([np.arange(length), np.arange(length)[::-1]])
    source = mirror[np.mod(index.astype(np.int64) - 1, 2 * length)]
    used = np.any(weight != 0, axis=0)
    return source[:, used], weight[:, used]


def _cubic(x: np.ndarray) -> np.ndarray:
    """The cubic convolution kernel with a = -0.5 (Keys, 1981)."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))
