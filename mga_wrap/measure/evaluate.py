"""PSNR-Y and SSIM-Y of a network on a folder of pictures, by the protocol of the field and the paper (section 3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from torch import nn

from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.infer.api import enlarge
from mga_wrap.infer.images import Picture, read_image
from mga_wrap.measure.degrade import crop_to_multiple, resize_bicubic
from mga_wrap.measure.metrics import psnr, ssim
from mga_wrap.nets.mga import Amount

MEAN = "mean"


@dataclass(frozen=True)
class Row:
    """One picture at one k, or the mean over the pictures."""

    picture: str
    """The file's name, or `MEAN`."""
    k: Amount | None
    """How much was refined; None is the network's own k."""
    psnr_y: float
    """dB, on Y of BT.601 studio range, ``scale`` border pixels shaved."""
    ssim_y: float
    """0 to 1, as psnr_y."""


def evaluate(
    net: nn.Module, files: Iterable[Path], *, scale: int, ks: Sequence[Amount | None], crop: int | None = None
) -> list[Row]:
    """Reduce each picture by exact bicubic interpolation, enlarge it again, and compare.

    A grey picture is treated as RGB with three equal channels; an alpha channel is left out.

    Args:
        net: a network (B, 3, H, W) -> (B, 3, s*H, s*W), values in 0..1, on its device; left as it is.
        files: the HR pictures.
        scale: s.
        ks: each k to measure; (None,) for a network that has no k.
        crop: HR is cropped from the top left to multiples of this; None is 4 * scale, as in the paper.

    Returns:
        A row for each k and picture: all pictures of the first k, then of the second, ...

    Raises:
        ImageError: a picture cannot be read or is too small.
        ArgumentError: crop is no multiple of scale, or k or net are not what `mga_wrap.upscale` takes.
    """
    crop = 4 * scale if crop is None else crop
    if crop < 1 or crop % scale:
        raise ArgumentError(f"got crop={crop}; expected a multiple of the scale {scale}")
    rows: list[list[Row]] = [[] for _ in ks]
    for file in files:
        lr, hr = _pair(file, scale=scale, crop=crop)
        for of_one_k, k in zip(rows, ks, strict=True):
            of_one_k.append(_measure(net, lr, hr, name=file.name, scale=scale, k=k))
    return [row for of_one_k in rows for row in of_one_k]


def means(rows: Iterable[Row]) -> list[Row]:
    """The mean over the pictures, one row for each k, in the order in which they come."""
    by_k: dict[str, list[Row]] = {}
    for row in rows:
        by_k.setdefault(repr(row.k), []).append(row)  # 1 and 1.0 are not the same k
    return [
        Row(MEAN, group[0].k, float(np.mean([r.psnr_y for r in group])), float(np.mean([r.ssim_y for r in group])))
        for group in by_k.values()
    ]


def _pair(file: Path, *, scale: int, crop: int) -> tuple[Picture, np.ndarray]:
    """Read HR, crop and reduce it: lr as a picture, hr (H, W, 3) uint8."""
    full = _as_bytes(read_image(file).rgb)
    try:
        hr = crop_to_multiple(full, crop)
    except ImageError as error:
        raise ImageError(f"cannot measure {file}: {error}") from error
    lr = resize_bicubic(hr, Fraction(1, scale))
    return Picture(lr.astype(np.float32) / 255), hr


def _measure(net: nn.Module, lr: Picture, hr: np.ndarray, *, name: str, scale: int, k: Amount | None) -> Row:
    sr = _as_bytes(enlarge(net, lr, k=k).rgb)
    try:
        return Row(name, k, psnr(sr, hr, border=scale), ssim(sr, hr, border=scale))
    except ImageError as error:
        raise ImageError(f"cannot measure {name}: {error}") from error


def _as_bytes(rgb: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.floor(rgb * 255 + 0.5).astype(np.uint8)
    return rounded
