"""Arrays and tensors in and out: what is no image is refused here, once."""

from __future__ import annotations

import os

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.pictures.files import LUMA


def batch_from(image: np.ndarray) -> Tensor:
    """(H, W[, 3]) uint8 or floating point to (1, 3, H, W) float32 in 0..1; `array_from` is the way back."""
    values = torch.from_numpy(np.array(image, dtype=np.float32, order="C"))  # a copy: arrays may be read-only
    if image.dtype == np.uint8:
        values = values / 255
    values = values.unsqueeze(-1).expand(-1, -1, 3) if values.ndim == 2 else values
    return values.permute(2, 0, 1).unsqueeze(0)


def array_from(sr: Tensor, like: np.ndarray) -> np.ndarray:
    """(1, 3, H, W) in 0..1 to an array of the dtype and number of axes of ``like``."""
    if like.ndim == 3 and like.dtype == np.uint8:
        return Arrival(sr, rounded=True).array().copy()  # whoever keeps it keeps no memory that is pinned
    array = Arrival(sr, rounded=False).array()
    if like.ndim == 2:
        array = np.clip(array @ LUMA, 0, 1)
    return as_bytes(array) if like.dtype == np.uint8 else array.astype(like.dtype)


class Arrival:
    """An image on its way from the device that made it: from a GPU it is copied beside what comes next.

    Args:
        sr: (1, 3, H, W), floating point in 0..1.
        rounded: to bytes, by the GPU where it lies there, since that takes a quarter of the copy.
    """

    def __init__(self, sr: Tensor, *, rounded: bool) -> None:
        self._rounded = rounded
        self._values = sr.squeeze(0).permute(1, 2, 0)
        self._copied: torch.cuda.Event | None = None
        if not sr.is_cuda:
            return
        if rounded:
            self._values = self._values.clamp(0, 1).mul(255).add(0.5).to(torch.uint8)
        there = self._values.contiguous()
        here = torch.empty(there.shape, dtype=there.dtype, pin_memory=True)  # of other memory a copy is waited for
        with torch.cuda.device(sr.device):
            self._values = here.copy_(there, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record()

    def array(self) -> np.ndarray:
        """(H, W, 3): uint8 where it is rounded, else float32 in 0..1; waits until it is here."""
        if self._copied is not None:
            self._copied.synchronize()
        values: np.ndarray = self._values.cpu().contiguous().numpy()
        return as_bytes(values) if self._rounded and values.dtype != np.uint8 else values


def as_bytes(values: np.ndarray) -> np.ndarray:
    """Floating point in 0..1, clipped, to uint8 of the same shape, rounded half up."""
    rounded: np.ndarray = np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
    return rounded


def check_image(image: object) -> None:
    """Refuse what is neither a PIL image, nor an array or tensor of an image's shape, dtype and range.

    Raises:
        ImageError: it is no such image, or holds NaN or infinity.
        ArgumentError: values outside 0..1.
    """
    if isinstance(image, Image.Image):
        return  # from_pil checks it
    if isinstance(image, np.ndarray):
        _check_array(image)
    elif isinstance(image, Tensor):
        _check_tensor(image)
    else:
        hint = ": open it first, PIL.Image.open(path)" if isinstance(image, str | os.PathLike) else ""
        raise ImageError(
            f"got an image of type {type(image).__name__}; expected a PIL image, a numpy array or a tensor{hint}"
        )


def _check_array(image: np.ndarray) -> None:
    if image.dtype != np.uint8 and not np.issubdtype(image.dtype, np.floating):
        raise ImageError(f"got an array of dtype {image.dtype}; expected uint8 (0..255) or floating point (0..1)")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or 0 in image.shape:
        hint = ""
        if image.ndim == 3 and image.shape[0] == 3:
            hint = ": move the channels last, image.transpose(1, 2, 0)"
        elif image.ndim == 3 and image.shape[2] in (1, 4):
            hint = ": drop that axis" if image.shape[2] == 1 else ": for an alpha channel give a PIL image"
        raise ImageError(f"got an array of shape {image.shape}; expected a non-empty (H, W, 3) or (H, W){hint}")
    if image.dtype != np.uint8:
        _check_range(int(image.size - np.isfinite(image).sum()), float(image.min()), float(image.max()))


def _check_tensor(image: Tensor) -> None:
    if not image.is_floating_point():
        raise ImageError(f"got a tensor of dtype {image.dtype}; expected floating point in 0..1: divide by 255 first")
    if image.ndim not in (3, 4) or image.shape[-3] != 3 or 0 in image.shape:
        raise ImageError(f"got a tensor of shape {tuple(image.shape)}; expected a non-empty (3, H, W) or (B, 3, H, W)")
    if image.is_meta:
        raise ImageError("got a tensor on the device meta, which holds no values; expected one on the CPU or a GPU")
    _check_range(int(image.numel() - image.isfinite().sum()), float(image.min()), float(image.max()))


def _check_range(broken: int, low: float, high: float) -> None:
    if broken:
        raise ImageError(
            f"got {broken} values that are NaN or infinite; replace them first, e.g. by numpy.nan_to_num or"
            " torch.nan_to_num"
        )
    if low < 0 or high > 1:
        raise ArgumentError(f"got values from {low:g} to {high:g}; expected 0..1: divide 0..255 by 255, or clip")
