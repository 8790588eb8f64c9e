"""HR pictures, and the LR pictures that belong to them: found, read, cropped and made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.pictures.arrays import as_bytes
from mga_wrap.pictures.bicubic import crop_to_multiple, resize_bicubic
from mga_wrap.pictures.files import Picture, list_images, read_image


@dataclass(frozen=True)
class Pair:
    """An HR file, and its LR file where there is one; without it LR is made by exact bicubic interpolation."""

    hr: Path
    lr: Path | None = None

    @property
    def name(self) -> str:
        """The HR file's name."""
        return self.hr.name

    @property
    def stamp(self) -> str:
        """Changes when one of the files does."""
        return " ".join(_stamp(file) for file in (self.hr, self.lr) if file is not None)


def find_pairs(data: Path, *, lr: Path | None = None, scale: int) -> list[Pair]:
    """The pictures of a folder, each with its LR picture where there is a folder of those.

    The LR picture of ``baby.png`` is called ``baby``, ``babyx4``, ``baby_x4`` or ``baby-x4``, with any suffix.

    Raises:
        ImageError: a folder is none or holds no picture, or a picture has no partner.
    """
    files = list_images(data)
    if lr is None:
        return [Pair(file) for file in files]
    small: dict[str, Path] = {}
    for file in list_images(lr):
        small[file.stem] = file
    pairs = [Pair(file, _partner(file, small, scale=scale)) for file in files]
    if alone := [pair.name for pair in pairs if pair.lr is None]:
        first = Path(alone[0]).stem
        raise ImageError(
            f"{len(alone)} of {len(files)} pictures of {data} have no LR picture in {lr}: {', '.join(alone[:3])}"
            f"{', ...' if len(alone) > 3 else ''}; expected names such as {first}.png or {first}x{scale}.png"
        )
    return pairs


def read_pair(pair: Pair, *, scale: int, crop: int) -> tuple[Picture, np.ndarray]:
    """Read a pair, or make the LR picture.

    A grey picture becomes RGB with three equal channels; an alpha channel is left out; 16 bits become 8.

    Args:
        pair: the files.
        scale: s.
        crop: HR is cropped from the top left to multiples of this, which s divides; a given LR picture with it.

    Returns:
        lr as a picture of 8-bit values, and hr, (H, W, 3) uint8.

    Raises:
        ImageError: a file cannot be read, is smaller than crop, or the two do not fit.
    """
    hr = as_bytes(read_image(pair.hr).rgb)
    given = None if pair.lr is None else as_bytes(read_image(pair.lr).rgb)
    if given is not None:
        _check_fit(pair, hr=hr, lr=given, scale=scale)
    try:
        hr = crop_to_multiple(hr, crop)
    except ImageError as error:
        raise ImageError(f"cannot measure {pair.hr}: {error}") from error
    height, width = hr.shape[0] // scale, hr.shape[1] // scale
    lr = resize_bicubic(hr, Fraction(1, scale)) if given is None else given[:height, :width]
    return Picture(lr.astype(np.float32) / 255), hr


def check_crop(crop: int | None, *, scale: int, paired: bool = False) -> int:
    """The multiple that HR is cropped to: 4 * scale as in the paper, or the scale where LR pictures are given.

    Raises:
        ArgumentError: crop is no multiple of the scale.
    """
    if crop is None:
        return scale if paired else 4 * scale
    if crop < 1 or crop % scale:
        raise ArgumentError(f"got crop={crop}; expected a multiple of the scale {scale}")
    return crop


def pairs_of(files: Iterable[Path | Pair]) -> list[Pair]:
    """Files as pairs whose LR picture is made."""
    return [file if isinstance(file, Pair) else Pair(file) for file in files]


def _check_fit(pair: Pair, *, hr: np.ndarray, lr: np.ndarray, scale: int) -> None:
    expected = hr.shape[0] // scale, hr.shape[1] // scale
    if lr.shape[:2] != expected:
        raise ImageError(
            f"{pair.lr} is {lr.shape[1]} x {lr.shape[0]} and {pair.hr} {hr.shape[1]} x {hr.shape[0]}; for x{scale} "
            f"expected an LR picture of {expected[1]} x {expected[0]}: is it of another scale, or another picture?"
        )


def _partner(file: Path, small: dict[str, Path], *, scale: int) -> Path | None:
    names = (file.stem, *(f"{file.stem}{mark}{scale}" for mark in ("x", "_x", "-x")))
    return next((small[name] for name in names if name in small), None)


def _stamp(file: Path) -> str:
    try:
        found = file.stat()
    except OSError:  # told when it is read
        return f"{file.name} is not there"
    return f"{file.name} {found.st_size} {found.st_mtime_ns}"
