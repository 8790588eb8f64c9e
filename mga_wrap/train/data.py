"""Training images: folders read once, HR reduced by the exact bicubic, kept as bytes in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.pictures.bicubic import crop_to_multiple, resize_bicubic
from mga_wrap.pictures.files import LUMA, list_images, read_image


@dataclass(frozen=True)
class Data:
    """Where the images lie and how crops are drawn from them.

    Attributes:
        hr: folder of HR images of any size and mode; reduced by the exact bicubic where there is no `lr`.
        lr: folder of LR images; with `hr`, each belongs to the HR image of the same name (`a.png` to `a.webp`, or
            `ax4.png`). Alone it is enough where the original network's own output is the target.
        detail: a crop is drawn with a probability that grows with the detail in it (the mean absolute gradient of its
            lr, to this power); 0 draws uniformly.
        workers: processes that draw crops; 0 draws them between the steps. The crops are the same.
    """

    hr: Path | None = None
    lr: Path | None = None
    detail: float = 2.0
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("hr", "lr"):
            if (folder := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(folder))  # text does, too
        if not 0 <= self.detail <= 10:
            raise ArgumentError(f"got detail={self.detail!r}; expected 0 (uniform) to 10")
        if not 0 <= self.workers <= 256:
            raise ArgumentError(f"got workers={self.workers!r}; expected 0 to 256 processes")


@dataclass(frozen=True, eq=False)
class Pair:
    """One image.

    Attributes:
        name: of its file.
        lr: (H, W, C) uint8.
        hr: (s*H, s*W, C) uint8; None where the original network's output is the target.
    """

    name: str
    lr: np.ndarray
    hr: np.ndarray | None


@dataclass(frozen=True)
class Images:
    """The images that could be read, and why the others could not."""

    pairs: tuple[Pair, ...]
    left_out: tuple[str, ...]


def read_images(
    data: Data,
    *,
    scale: int,
    channels: int,
    smallest: int,
    taught: bool,
    keep_hr: bool = False,
    limit: int | None = None,
) -> Images:
    """Read all images of the folders.

    Args:
        data: the folders.
        scale: s.
        channels: C, 3 or 1 (luma).
        smallest: side in lr pixels below which an image is left out.
        taught: the original network's output is the target; HR images are only reduced.
        keep_hr: keep those that are reduced even so.
        limit: read the first so many images.

    Raises:
        ImageError: there is no such folder, or no image is left.
        ArgumentError: no folder is given, or LR images alone where HR is needed.
    """
    files = _files(data, scale=scale, taught=taught)[:limit]
    needed = not taught or (keep_hr and data.lr is None)
    read = partial(_read, scale=scale, channels=channels, smallest=smallest, keep_hr=needed)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = list(pool.map(lambda one: _or_reason(read, *one), files))
    pairs = tuple(one for one in found if isinstance(one, Pair))
    reasons = tuple(one for one in found if isinstance(one, str))
    if not pairs:
        raise ImageError(
            f"{data.hr or data.lr} holds no image that can be used, of at least {smallest} x {smallest} lr pixels "
            f"(x{scale}: {smallest * scale} x {smallest * scale} hr pixels); the first: {reasons[0]}"
        )
    return Images(pairs, reasons)


def fingerprints(pairs: Sequence[Pair], *, taught: bool = False) -> list[tuple[str, int, int, str]]:
    """(name, width and height of lr, digest) of each image: by these a training knows its images again.

    The digest is of every pixel of lr, which most often is hr reduced, and of one row in 16 of hr where that is the
    target.
    """
    return [(pair.name, pair.lr.shape[1], pair.lr.shape[0], _digest(pair, taught=taught)) for pair in pairs]


def _digest(pair: Pair, *, taught: bool) -> str:
    digest = hashlib.blake2b(pair.lr.tobytes(), digest_size=8)
    if pair.hr is not None and not taught:
        digest.update(pair.hr[::16].tobytes())
    return digest.hexdigest()


def _files(data: Data, *, scale: int, taught: bool) -> list[tuple[Path | None, Path | None]]:
    """(hr, lr) files, one of them None where it is not needed."""
    for folder in (data.hr, data.lr):
        if folder is not None and not folder.is_dir():
            raise ImageError(f"{folder} is no folder; expected one with images")
    if data.lr is None:
        if data.hr is None:
            raise ArgumentError("got no images: name a folder of HR images (hr), or of LR images (lr)")
        return [(path, None) for path in list_images(data.hr)]
    lr = list_images(data.lr)
    if taught:
        return [(None, path) for path in lr]
    if data.hr is None:
        raise ArgumentError(f"got LR images alone ({data.lr}); name their HR images too (hr), or use target='original'")
    by_name = {path.stem: path for path in list_images(data.hr)}
    return [(by_name.get(path.stem, by_name.get(path.stem.removesuffix(f"x{scale}"))), path) for path in lr]


def _or_reason(read: partial[Pair], hr: Path | None, lr: Path | None) -> Pair | str:
    try:
        return read(hr, lr)
    except ImageError as error:
        return str(error)


def _read(hr: Path | None, lr: Path | None, *, scale: int, channels: int, smallest: int, keep_hr: bool) -> Pair:
    path = lr or hr
    assert path is not None
    large = None if hr is None else _bytes(hr, channels)
    if lr is not None:
        small = _bytes(lr, channels)
        if keep_hr:
            large = _belonging(small, large, lr, scale)
    else:
        assert large is not None
        if min(large.shape[:2]) < scale:
            raise ImageError(f"{path}: of {large.shape[1]} x {large.shape[0]} pixels nothing is left at 1/{scale}")
        large = crop_to_multiple(large, scale)
        small = resize_bicubic(large, Fraction(1, scale))
    if min(small.shape[:2]) < smallest:
        raise ImageError(
            f"{path}: {small.shape[1]} x {small.shape[0]} lr pixels; expected at least {smallest} x {smallest}"
        )
    return Pair(path.name, small, large if keep_hr else None)


def _belonging(small: np.ndarray, large: np.ndarray | None, path: Path, scale: int) -> np.ndarray:
    if large is None:
        raise ImageError(f"{path}: there is no HR image of that name")
    height, width = scale * small.shape[0], scale * small.shape[1]
    if not (height <= large.shape[0] < height + scale and width <= large.shape[1] < width + scale):
        raise ImageError(
            f"{path}: {small.shape[1]} x {small.shape[0]} pixels, its HR image {large.shape[1]} x {large.shape[0]}; "
            f"expected {scale} times as many a side"
        )
    return large[:height, :width]


def _bytes(path: Path, channels: int) -> np.ndarray:
    """(H, W, C) uint8."""
    values = np.floor(read_image(path).rgb * 255 + 0.5)
    if channels == 1:
        values = np.floor(values @ LUMA + 0.5)[..., None]
    return values.astype(np.uint8)
