"""Image files in and out: a picture leaves the way it came (grey, alpha, 16 bits, colour profile).

Pillow reads and writes; here stands what it does not decide: which mode is which picture, which side is up, one-line
errors that name the file, and files that appear under their name only when they are complete.
"""

from __future__ import annotations

import ctypes
import logging
import os
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from mga_wrap.errors import ImageError, one_line
from mga_wrap.files import whole_file

_JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe")
_OTHER_SUFFIXES = (".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".avif")
IMAGE_SUFFIXES = frozenset((".png", *_JPEG_SUFFIXES, *_OTHER_SUFFIXES))
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # the weights of Pillow's mode L
_WARNINGS = threading.Lock()  # Python's filters of warnings are one for all threads


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture and what is needed to write it back the way it came.

    Attributes:
        rgb: (H, W, 3) float32 in 0..1; three equal channels where the file was grey. A picture of 8 bits and colour
            may also hold the bytes that are written, uint8.
        alpha: (H, W) float32 in 0..1, or None for a picture without transparency.
        grey: whether it is written with one channel.
        depth: bits a value; 16 only for a grey picture without alpha, the one deep format that Pillow holds.
        icc_profile: the colour profile that belongs to the values, or None.
        exif: what the camera wrote, or None. The values are upright, so an orientation in it is 1.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    grey: bool = False
    depth: Literal[8, 16] = 8
    icc_profile: bytes | None = None
    exif: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]


@dataclass(frozen=True)
class _Format:
    """A format that can be written, and what it can hold."""

    name: str
    alpha: bool
    deep: bool
    options: dict[str, Any]


# zlib's usual search takes longer than a fast network does, and finds nothing in photographs that PNG's own filters
# have not taken away; runs of equal bytes, of which flat grounds are made, it finds this way too.
_PNG = _Format("PNG", alpha=True, deep=True, options={"compress_level": 1, "compress_type": zlib.Z_RLE})
_JPEG = _Format("JPEG", alpha=False, deep=False, options={"quality": 95, "subsampling": 0})
_WEBP = _Format("WEBP", alpha=True, deep=False, options={"lossless": True})
_TIFF = _Format("TIFF", alpha=True, deep=True, options={})
_BMP = _Format("BMP", alpha=False, deep=False, options={})
_FORMATS = {".png": _PNG, ".jpg": _JPEG, ".jpeg": _JPEG, ".webp": _WEBP, ".tif": _TIFF, ".tiff": _TIFF, ".bmp": _BMP}
WRITABLE_SUFFIXES = tuple(_FORMATS)


# ----------------------------------------------------------------------------------------------------- Pillow and back
def from_pil(image: Image.Image) -> Picture:
    """Turn a Pillow image of any mode into a `Picture`; `to_pil` is the way back.

    1-bit and grey stay grey, a palette of greys too; a palette becomes RGB, transparency becomes an alpha channel, CMYK
    becomes RGB (through its colour profile where it has one). Of 16-bit grey with a transparent value 8 bits are kept.
    The picture is turned upright as its EXIF orientation says.

    Raises:
        ImageError: an empty image, floating point or 32-bit values, or a mode that has no way to RGB.
    """
    if 0 in image.size:
        raise ImageError(f"got an empty picture of {image.width} x {image.height}; expected at least 1 x 1")
    try:
        image.load()
    except (OSError, SyntaxError, ValueError) as error:  # Pillow reads a file only when its values are asked for
        raise ImageError(
            f"the picture is damaged or cut off ({one_line(error)}); copy it again from its source"
        ) from error
    image, exif = _upright(image)
    deep = image.mode in ("I", "F") or image.mode.startswith("I;16")
    return replace(_from_deep(image) if deep else _from_bytes(image), exif=exif)


def _upright(image: Image.Image) -> tuple[Image.Image, bytes | None]:
    """The picture turned as its EXIF says, and the EXIF of what came out."""
    exif = Image.Exif()  # of its own: the caller's stays as it is
    try:
        exif.load(image.getexif().tobytes())
    except (SyntaxError, struct.error, ValueError, TypeError, LookupError, AttributeError, OSError):
        return image, None  # broken EXIF says nothing of the values, which are whole
    if not exif:
        return image, None
    upright = ImageOps.exif_transpose(image)
    if ExifTags.Base.Orientation in exif:
        exif[ExifTags.Base.Orientation] = 1
    return upright, None if hasattr(image, "tag_v2") else exif.tobytes()  # a TIFF's tags say how that file is laid out


def _from_bytes(image: Image.Image) -> Picture:
    """Every mode that has at most 8 bits a value."""
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK":
        image, profile = _cmyk_to_rgb(image, profile), None
    grey = image.mode in ("1", "L", "LA", "La")
    target = ("L" if grey else "RGB") + ("A" if image.has_transparency_data else "")
    try:
        values = np.asarray(image.convert(target)).astype(np.float32) / 255
    except ValueError as error:
        raise ImageError(f"got mode {image.mode}, which has no way to RGB ({error}); convert it first") from error
    alpha = values[..., -1] if target.endswith("A") else None
    colour = values[..., : 1 if grey else 3] if values.ndim == 3 else values[..., None]
    if image.mode in ("P", "PA"):
        grey = bool((colour == colour[..., :1]).all())
    rgb = np.ascontiguousarray(np.broadcast_to(colour, (*colour.shape[:2], 3)))
    return Picture(rgb, alpha=alpha, grey=grey, icc_profile=_fitting(profile, grey=grey))


def to_pil(picture: Picture) -> Image.Image:
    """Turn a `Picture` into a Pillow image of mode L, LA, RGB, RGBA or I;16, rounded half up."""
    colour = picture.rgb @ LUMA if picture.grey else picture.rgb
    if picture.depth == 16:
        image = Image.fromarray(_rounded(colour, 65535).astype(np.uint16))
    else:
        values = colour if colour.dtype == np.uint8 else _rounded(colour, 255).astype(np.uint8)
        if picture.alpha is not None:
            values = np.dstack([values, _rounded(picture.alpha, 255).astype(np.uint8)])
        image = Image.fromarray(values)
    if picture.icc_profile:
        image.info["icc_profile"] = picture.icc_profile
    if picture.exif:
        image.info["exif"] = picture.exif
    return image


def _rounded(values: np.ndarray, top: int) -> np.ndarray:
    rounded: np.ndarray = np.floor(np.clip(values, 0, 1) * top + 0.5)
    return rounded


def _from_deep(image: Image.Image) -> Picture:
    """Grey with 16 bits: I;16 in either byte order, or I with values that fit."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65535:
        raise ImageError(
            f"got mode {image.mode} with values from {values.min()} to {values.max()}; expected 8 bits, or grey of"
            " 16 bits (0..65535); convert it first"
        )
    rgb = np.repeat(values.astype(np.float32)[..., None] / 65535, 3, axis=2)
    profile = _fitting(image.info.get("icc_profile"), grey=True)
    key = image.info.get("transparency")
    if key is None:
        return Picture(rgb, grey=True, depth=16, icc_profile=profile)
    return Picture(rgb, alpha=(values != key).astype(np.float32), grey=True, icc_profile=profile)


def _cmyk_to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """By the inks' profile where there is one; plain 1 - ink otherwise."""
    if profile and profile[16:20] == b"CMYK":
        with suppress(ImportError, OSError, ValueError):  # no littlecms, or a broken profile: plain is better than none
            from PIL import ImageCms

            with suppress(ImageCms.PyCMSError):
                srgb = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(
                    image, ImageCms.ImageCmsProfile(BytesIO(profile)), srgb, outputMode="RGB"
                )
                if converted is not None:
                    return converted
    return image.convert("RGB")


def _fitting(profile: bytes | None, *, grey: bool) -> bytes | None:
    """The profile, unless it speaks of other channels than the ones that are written."""
    return profile if profile and profile[16:20] == (b"GRAY" if grey else b"RGB ") else None


# ------------------------------------------------------------------------------------------------------------- reading
def read_image(path: str | os.PathLike[str]) -> Picture:
    """Read an image file; the first frame of several, turned upright as its EXIF orientation says.

    Raises:
        ImageError: the file is missing, empty, cut off, no image, no file at all (a pipe, a device), or larger than
            Pillow's limit against decompression bombs; the message is one line and names the file.
    """
    path = Path(path)
    with _explained(path):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # to open a pipe is to wait for someone who writes
            raise ImageError("it is a pipe, a socket or a device; expected a file: copy it into one first")
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the error beyond twice the size stays
            image = Image.open(path)
        with image:
            image.load()
            return from_pil(image)


def hush_pillow() -> None:
    """Keep what the readers say about broken pictures off stderr, for the rest of this process.

    For command lines, where the error of `read_image` says it in one line. Pillow has no way to quieten libtiff, which
    writes from C; its own handler of errors is taken away where it can be reached. The alternative, to redirect the
    process's stderr meanwhile, would swallow what other threads write.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with suppress(OSError, AttributeError):  # no such library beside Pillow, or one that is linked in without names
        silence = ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler
        silence.restype = ctypes.c_void_p
        silence(None)


def list_images(path: str | os.PathLike[str]) -> list[Path]:
    """The image files of a folder, sorted by name, without its subfolders; any other path stands for itself.

    Raises:
        ImageError: the folder cannot be read or holds no image.
    """
    path = Path(path)
    try:
        if not path.is_dir():
            return [path]
        files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}; check the path, and who may read it") from error
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise ImageError(
            f"{path} is a folder without images ({len(files)} other files; subfolders are not searched);"
            f" expected files such as {', '.join(WRITABLE_SUFFIXES)}"
        )
    return images


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn whatever reading raises into one line that names the file and says what to do."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"cannot read {path}: {error}") from error
    except MemoryError as error:
        raise ImageError(f"cannot read {path}: not enough memory for it; cut it into parts") from error
    except Exception as error:  # Pillow's plugins raise what they like: SyntaxError, struct.error, IndexError, ...
        raise ImageError(f"cannot read {path}: {_reading_reason(path, error)}") from error


def _reading_reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file; check the path"
    if isinstance(error, IsADirectoryError):
        return "it is a folder; expected an image file"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.strerror}"
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"it holds more than {limit} pixels, the limit against decompression bombs; cut it into parts"
    if path.stat().st_size == 0:
        return "the file is empty (0 bytes); expected an image, was it copied completely?"
    if isinstance(error, UnidentifiedImageError):
        with path.open("rb") as handle:
            start = handle.read(8)
        return f"it is no image (it begins with {start!r}); expected PNG, JPEG, WebP, TIFF or the like, complete"
    return f"the file is damaged or cut off ({one_line(error)}); copy it again from its source"


# ------------------------------------------------------------------------------------------------------------- writing
def write_image(picture: Picture, *, path: str | os.PathLike[str]) -> None:
    """Write a picture in the format that the suffix names; the file appears only when it is complete.

    EXIF and colour profile go with it where the format holds them (BMP does not).

    Raises:
        ImageError: a suffix that is not written, a format that cannot hold the picture's alpha channel or 16 bits, or
            a folder that cannot be made or written; what was there before stays as it was.
    """
    path = Path(path)
    kind = _format_for(path, picture)
    image = to_pil(picture)
    exif = {"exif": picture.exif} if picture.exif else {}
    with open_whole(path) as handle:
        image.save(handle, format=kind.name, icc_profile=picture.icc_profile, **exif, **kind.options)


def _format_for(path: Path, picture: Picture) -> _Format:
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        known = ", ".join(WRITABLE_SUFFIXES)
        raise ImageError(f"cannot write {path}: got suffix {path.suffix or '(none)'}; expected one of {known}")
    if picture.alpha is not None and not kind.alpha:
        raise ImageError(f"cannot write {path}: {kind.name} holds no alpha channel; use .png, .webp or .tif")
    if picture.depth == 16 and not kind.deep:
        raise ImageError(f"cannot write {path}: {kind.name} holds no 16 bits; use .png or .tif")
    return kind


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its name only once everything in it is written; missing folders are made.

    Raises:
        ImageError: it cannot be written; the temporary file is gone, an older file of that name untouched.
    """
    try:
        with whole_file(path) as part, part.open("xb") as handle:
            yield handle
    except (OSError, ValueError, struct.error) as error:  # ValueError and struct.error: too large for the format
        raise ImageError(f"cannot write {path}: {_writing_reason(path, error)}") from error


def _writing_reason(path: Path, error: Exception) -> str:
    with suppress(OSError):  # where one may not look, the error below says so
        if path.is_dir():
            return "a folder of that name stands there; give the name of a file"
        for folder in path.parents:
            if folder.exists() and not folder.is_dir():
                return f"{folder} is a file, not a folder; choose another folder"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.strerror}; choose another folder"
    return f"{one_line(error)}; choose another format"
