"""Training crops: HR images reduced by the exact bicubic, drawn where there is detail."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mga_wrap.errors import ImageError
from mga_wrap.measure.degrade import crop_to_multiple, resize_bicubic

SUFFIXES = (".png", ".webp", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
STRIDE = 4
"""Crops are drawn from a table with one entry for STRIDE x STRIDE positions, then moved at random inside it."""


class Crops:
    """Pairs of lr and hr crops from a folder of HR images, the same for the same seed and step.

    Photographs are mostly sky and wall. A crop is drawn with a probability that grows with its detail (the mean
    absolute gradient of its lr, to the power `detail`).

    Args:
        folder: HR images, any mode; those smaller than a crop are left out.
        scale: 2, 3 or 4.
        crop: side of an lr crop.
        detail: 0 draws uniformly.
        seed: of the draws.

    Raises:
        ImageError: the folder is none or holds no image that is large enough, or a file in it is broken.
    """

    def __init__(self, folder: Path, *, scale: int, crop: int, detail: float = 2.0, seed: int = 0) -> None:
        self.scale, self.crop, self.seed = scale, crop, seed
        if not folder.is_dir():
            raise ImageError(f"{folder} is no folder; expected one with HR images")
        self.pairs = [pair for path in sorted(folder.iterdir()) if (pair := _load(path, scale, crop)) is not None]
        if not self.pairs:
            raise ImageError(f"{folder} holds no image of at least {scale * crop} x {scale * crop} pixels")
        places, weights = zip(*(_places(lr, crop, image) for image, (lr, _) in enumerate(self.pairs)), strict=True)
        self._places = np.concatenate(places)  # (n, 3): image, row, column
        weight = np.concatenate(weights)
        weight = np.clip(weight, 0, np.quantile(weight, 0.99)) ** detail
        if not weight.any():  # nothing but flat images
            weight = np.ones_like(weight)
        self._cumulative = np.cumsum(weight / weight.sum())

    def batch(self, step: int, size: int) -> tuple[Tensor, Tensor]:
        """The pair lr (size, 3, crop, crop) and hr (size, 3, s*crop, s*crop), 0..1, channels last, for one step."""
        rng = np.random.default_rng([self.seed, step])
        pairs = [self._draw(rng) for _ in range(size)]
        lr, hr = (np.stack(images) for images in zip(*pairs, strict=True))
        return _to_tensor(lr), _to_tensor(hr)

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        place = min(int(np.searchsorted(self._cumulative, rng.random())), len(self._places) - 1)
        image, row, col = self._places[place]
        lr, hr = self.pairs[image]
        row = min(row + rng.integers(STRIDE), lr.shape[0] - self.crop)
        col = min(col + rng.integers(STRIDE), lr.shape[1] - self.crop)
        s, c = self.scale, self.crop
        pair = lr[row : row + c, col : col + c], hr[s * row : s * (row + c), s * col : s * (col + c)]
        turn, mirror = int(rng.integers(4)), rng.integers(2)
        lr, hr = (np.rot90(x[:, ::-1] if mirror else x, turn) for x in pair)
        return lr, hr


def _load(path: Path, scale: int, crop: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(lr, hr) as uint8 (H, W, 3); None for other files and for images smaller than a crop."""
    if path.suffix.lower() not in SUFFIXES:
        return None
    try:
        with Image.open(path) as image:
            hr = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises, depending on what is broken
        raise ImageError(f"{path}: cannot be read as an image ({error}); take it out of the folder") from error
    if min(hr.shape[:2]) < scale * crop:
        return None
    hr = crop_to_multiple(hr, scale)
    return resize_bicubic(hr, 1 / scale), hr


def _places(lr: np.ndarray, crop: int, image: int) -> tuple[np.ndarray, np.ndarray]:
    """Where crops may start, (n, 3), and the mean absolute gradient of each, (n,)."""
    grey = lr.astype(np.float32).mean(axis=2)
    edges = np.zeros_like(grey)
    edges[:, 1:] += np.abs(np.diff(grey, axis=1))
    edges[1:] += np.abs(np.diff(grey, axis=0))
    total = np.pad(edges.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    detail = total[crop:, crop:] - total[:-crop, crop:] - total[crop:, :-crop] + total[:-crop, :-crop]
    detail = detail[::STRIDE, ::STRIDE] / crop**2
    rows, cols = np.meshgrid(*(STRIDE * np.arange(n) for n in detail.shape), indexing="ij")
    return np.stack([np.full(detail.size, image), rows.ravel(), cols.ravel()], axis=1), detail.ravel()


def _to_tensor(images: np.ndarray) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float in 0..1, channels last."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)
