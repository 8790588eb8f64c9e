"""What a network is fitted on: any kind of images, as pictures of bytes, some of them kept apart; crops of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.pictures.arrays import as_bytes, check_image
from mga_wrap.pictures.bicubic import resize_bicubic
from mga_wrap.pictures.files import from_pil, list_images, read_image

Images = str | Path | Tensor | np.ndarray | Image.Image | Sequence[Any]
"""A folder, a file, one image or several: PIL images, arrays or tensors as `mga_wrap.upscale` takes them, or files."""

HELD_OUT = 0.25
"""Share of the pictures that is kept to choose by and to report on."""
ZOOMS = (1.0, 1.5, 2.0, 3.0)
"""By how much a place is reduced before it becomes a crop, so that soft photographs are seen sharp, too."""


@dataclass(frozen=True)
class Crop:
    """A place of a picture."""

    lr: Tensor
    """(1, 3, side, side), 0..1."""
    hr: Tensor
    """(1, 3, s*side, s*side), 0..1."""


def read_pictures(images: Images, *, smallest: int) -> list[np.ndarray]:
    """Every image as (H, W, 3) uint8.

    Args:
        images: see `Images`.
        smallest: side in pixels below which an image is of no use.

    Raises:
        ImageError: something is no image, or all are too small.
        ArgumentError: there are none.
    """
    pictures = [as_bytes(rgb) for rgb in _each(images)]
    if not pictures:
        raise ArgumentError("got no images; expected a folder with some, or a list of them")
    large = [picture for picture in pictures if min(picture.shape[:2]) >= smallest]
    if not large:
        height, width = max((picture.shape[:2] for picture in pictures), key=min)
        raise ImageError(
            f"got {len(pictures)} images, the largest of {width} x {height} pixels; expected at least one of "
            f"{smallest} x {smallest}, so that a few patches fit into a crop of it"
        )
    return large


def _each(images: Images) -> Iterator[np.ndarray]:
    if isinstance(images, str | Path):
        path = Path(images)
        for file in list_images(path):
            yield read_image(file).rgb
    elif isinstance(images, Image.Image):
        yield from_pil(images).rgb
    elif isinstance(images, np.ndarray | Tensor):
        yield from _values(images)
    elif isinstance(images, Sequence):
        for one in images:
            yield from _each(one)
    else:
        raise ArgumentError(
            f"got images of type {type(images).__name__}; expected a folder, a file, PIL images, arrays or tensors"
        )


def _values(image: np.ndarray | Tensor) -> Iterator[np.ndarray]:
    check_image(image)
    if isinstance(image, Tensor):
        for one in image if image.ndim == 4 else image[None]:
            yield one.detach().float().permute(1, 2, 0).cpu().numpy()
        return
    values = image / np.float32(255) if image.dtype == np.uint8 else image
    yield np.repeat(values[..., None], 3, axis=2) if values.ndim == 2 else values


def apart(pictures: list[np.ndarray], *, smallest: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(to learn from, to measure on): other pictures, or of a single one the two parts of its longer side.

    A single picture of which one part would be smaller than `smallest` is used for both.
    """
    if len(pictures) == 1:
        picture = pictures[0] if pictures[0].shape[0] >= pictures[0].shape[1] else pictures[0].swapaxes(0, 1)
        at = round(picture.shape[0] * (1 - HELD_OUT))
        if picture.shape[0] - at < smallest:
            return [picture], [picture]
        return [picture[:at]], [picture[at:]]
    order = np.random.default_rng(seed).permutation(len(pictures))
    kept = max(1, round(len(pictures) * HELD_OUT))
    return [pictures[i] for i in order[kept:]], [pictures[i] for i in order[:kept]]


def crops(pictures: Sequence[np.ndarray], *, scale: int, side: int, seed: int) -> Iterator[Crop]:
    """Places of the pictures in turn, without end: the same for the same seed.

    Args:
        pictures: (H, W, 3) uint8, taken for HR.
        scale: s.
        side: of a crop, lr pixels; smaller where no picture holds so much.
        seed: of the draw.
    """
    draw = np.random.default_rng(seed)
    number = 0
    while True:
        picture = pictures[number % len(pictures)]
        number += 1
        room = min(picture.shape[:2])
        side_here = min(side, room // scale)
        zoom = min(float(draw.choice(ZOOMS)), room / (side_here * scale))
        taken = min(round(side_here * scale * zoom), room)
        top, left = (int(draw.integers(length - taken + 1)) for length in picture.shape[:2])
        hr = picture[top : top + taken, left : left + taken]
        if taken != side_here * scale:
            size = (side_here * scale, side_here * scale)
            hr = np.asarray(Image.fromarray(np.ascontiguousarray(hr)).resize(size, Image.Resampling.BICUBIC))
        hr = _turned(hr, draw)
        yield Crop(_tensor(resize_bicubic(hr, 1 / scale)), _tensor(hr))


def _turned(hr: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    if draw.random() < 0.5:
        hr = hr[:, ::-1]
    if draw.random() < 0.5:
        hr = hr.swapaxes(0, 1)
    return np.ascontiguousarray(hr)


def _tensor(picture: np.ndarray) -> Tensor:
    values = torch.from_numpy(picture.astype(np.float32) / 255)
    return values.permute(2, 0, 1)[None]  # channels last
