"""Enlarge pictures, arrays and tensors: the border where everything is checked and comes back as it was given."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mga_wrap.errors import ArgumentError, ImageError, MGAError
from mga_wrap.infer.images import LUMA, Picture, from_pil, to_pil
from mga_wrap.measure.degrade import resize_bicubic
from mga_wrap.nets.mga import Amount, MGANet, MGATrace, check_amount

Model = nn.Module | str | os.PathLike[str]
"""A network lr -> sr, the name of a pretrained one, or the folder of a saved one."""
ImageLike = TypeVar("ImageLike", Image.Image, np.ndarray, Tensor)

EMBEDDED_SCALES = (2, 3, 4)


def upscale(
    image: ImageLike,
    *,
    model: Model | None = None,
    scale: int | None = None,
    k: Amount | None = None,
    device: str | torch.device = "auto",
) -> ImageLike:
    """Enlarge an image; it comes back as the kind that was given.

    Args:
        image: a PIL image of any mode (grey, palette, alpha, CMYK, 16-bit grey, ...), an array (H, W, 3) or (H, W),
            uint8 or floating point in 0..1, or a tensor (3, H, W) or (B, 3, H, W), floating point in 0..1.
        model: a network from (B, 3, H, W) to (B, 3, s*H, s*W), values in 0..1, which is neither moved nor changed;
            the name of a pretrained one ("fsrcnn-m-x4"), or a folder written by `save_pretrained`. None: the one
            that lies in the package for this scale.
        scale: how many times a side grows; 4 if neither model nor scale is given.
        k: how much to refine, see `MGANet.forward`; None is the network's own. Only for an `MGANet`.
        device: "auto" (CUDA, else MPS, else the CPU; for a network that you give, where it lies) or a torch device.

    Returns:
        The image enlarged, in 0..1 or 0..255 (rounded half up): an array or tensor of the same dtype (and device), a
        PIL image of the same mode, except that a palette or CMYK becomes RGB(A), a 1-bit image grey, and I becomes
        I;16. An alpha channel is enlarged by exact bicubic interpolation.

    Raises:
        ImageError: image is no such image, or holds NaN or infinity.
        ArgumentError: values outside 0..1, a model that is no SR network or of another scale, a k or device that does
            not exist.
        CheckpointError: no pretrained network of that name, or a broken one.
    """
    _check_image(image)
    net = prepare(model, scale=scale, device=device)
    enlarged: Image.Image | np.ndarray | Tensor
    if isinstance(image, Image.Image):
        enlarged = _upscale_pil(net, image, k=k, scale=scale)
    elif isinstance(image, np.ndarray):
        enlarged = _array_from(run(net, _batch_from(image), k=k, scale=scale), image)
    else:
        sr = run(net, image.unsqueeze(0) if image.ndim == 3 else image, k=k, scale=scale)
        enlarged = (sr.squeeze(0) if image.ndim == 3 else sr).to(image.device, image.dtype)
    return enlarged  # the kind that came in, as each branch says


# ---------------------------------------------------------------------------------------------------------- the network
def prepare(model: Model | None = None, *, scale: int | None = None, device: str | torch.device = "auto") -> nn.Module:
    """Find the network and put it on its device; see `upscale` for the arguments.

    Returns:
        The network itself if it was given and lies on the device already, a copy there otherwise. A pretrained one is
        loaded once and kept.

    Raises:
        ArgumentError: model is no network, its scale is not the one asked for, or the device does not exist.
        CheckpointError: no pretrained network of that name, or a broken one.
    """
    if scale is not None and (isinstance(scale, bool) or not isinstance(scale, int) or scale < 1):
        raise ArgumentError(f"got scale={scale!r}; expected a whole number such as 2, 3 or 4")
    if isinstance(model, nn.Module):
        net = _placed(model, device)
    elif model is None or isinstance(model, str | os.PathLike):
        name = os.fspath(model) if model is not None else _embedded(scale)
        net = _pretrained(name, _pick_device(device), _stamp(name))
    else:
        raise ArgumentError(
            f"got model of type {type(model).__name__}; expected an nn.Module, the name of a pretrained network or a"
            " folder"
        )
    own = getattr(net, "scale", None)
    if scale is not None and isinstance(own, int) and own != scale:
        raise ArgumentError(f"got scale={scale} and a model that enlarges by {own}; leave one of them out")
    return net


def _embedded(scale: int | None) -> str:
    scale = 4 if scale is None else scale
    if scale not in EMBEDDED_SCALES:
        raise ArgumentError(f"got scale={scale}; the networks in the package enlarge by 2, 3 or 4: give a model")
    return f"fsrcnn-m-x{scale}"


@functools.lru_cache(maxsize=4)
def _pretrained(name: str, device: torch.device, stamp: tuple[str, int] | None) -> nn.Module:
    """Load once for each name and device; a folder that is written anew has another stamp and is loaded anew."""
    del stamp
    from mga_wrap.hub import from_pretrained

    net = from_pretrained(name).eval().requires_grad_(False)
    if device.type == "mps":
        return net.to(device)
    return net.to(device).to(memory_format=torch.channels_last)


def _stamp(name: str) -> tuple[str, int] | None:
    folder = Path(name)
    if not folder.is_dir():
        return None
    files = [folder / "config.json", folder / "model.safetensors"]
    return str(folder.resolve()), max((file.stat().st_mtime_ns for file in files if file.exists()), default=0)


def _placed(model: nn.Module, device: str | torch.device) -> nn.Module:
    """The caller's network where it lies, or a copy on another device: it is never moved."""
    if str(device) == "auto":
        return model
    here, there = _where(model), _pick_device(device)
    return model if here in (None, there) else copy.deepcopy(model).to(there)


def _where(net: nn.Module) -> torch.device | None:
    first = next(net.parameters(), next(net.buffers(), None))
    return None if first is None else first.device


def _pick_device(device: str | torch.device) -> torch.device:
    if str(device) == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return _pick_device(kind)
    try:
        picked = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ArgumentError(f"got device={device!r}; expected auto, cpu, cuda, cuda:0, mps or the like") from error
    if picked.type == "cuda" and (picked.index or 0) >= torch.cuda.device_count():
        raise ArgumentError(
            f"got device={device!r}; torch sees {torch.cuda.device_count()} CUDA devices: use auto or cpu"
        )
    if picked.type == "mps" and not torch.backends.mps.is_available():
        raise ArgumentError(f"got device={device!r}; torch has no MPS here: use auto or cpu")
    return torch.device("cuda", torch.cuda.current_device()) if picked == torch.device("cuda") else picked


# ------------------------------------------------------------------------------------------------------------- running
def enlarge(net: nn.Module, picture: Picture, *, k: Amount | None = None) -> Picture:
    """Enlarge a picture with a network from `prepare`; grey stays grey, alpha is interpolated bicubically."""
    return _enlarged(picture, run(net, _batch_from(picture.rgb), k=k))


def explain(net: MGANet, picture: Picture, *, k: Amount | None = None) -> tuple[Picture, MGATrace]:
    """Like `enlarge`, with everything that `MGANet.trace` shows."""
    with _ready(net, _batch_from(picture.rgb)) as lr:
        trace = net.trace(lr, k=k)
    return _enlarged(picture, _checked(net, lr, trace.sr)), trace


def run(net: nn.Module, lr: Tensor, *, k: Amount | None = None, scale: int | None = None) -> Tensor:
    """Run a network on a batch: (B, 3, H, W) in 0..1 to (B, 3, s*H, s*W) float32, clipped to 0..1.

    Raises:
        ArgumentError: k for a network that has none, a network that does not turn (B, 3, H, W) into a multiple, or
            into another one than ``scale``.
    """
    if k is not None and not isinstance(net, MGANet):
        raise ArgumentError(f"got k={k!r} for {type(net).__name__}; only an MGANet takes k: see mga_wrap.accelerate")
    options = {} if k is None else {"k": check_amount(k)}
    with _ready(net, lr) as ready:
        sr = net(ready, **options)
    return _checked(net, lr, sr, scale=scale)


@contextmanager
def _ready(net: nn.Module, lr: Tensor) -> Iterator[Tensor]:
    """The batch as the network needs it, the network in eval mode meanwhile, its errors told in one line."""
    modes = [(module, module.training) for module in net.modules()]  # each its own: a frozen part may be in eval mode
    dtype = next((x.dtype for x in net.parameters() if x.is_floating_point()), torch.float32)
    device = _where(net) or lr.device
    layout = torch.contiguous_format if device.type == "mps" else torch.channels_last
    try:
        net.eval()
        with torch.inference_mode():
            yield lr.to(device, dtype).contiguous(memory_format=layout)
    except MGAError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, AssertionError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ArgumentError(
            f"{type(net).__name__} failed on lr of shape {tuple(lr.shape)}: {reason[0]}; {_EXPECTED_NETWORK}"
        ) from error
    finally:
        for module, mode in modes:
            module.training = mode


_EXPECTED_NETWORK = "expected a network from (B, 3, H, W) to (B, 3, s*H, s*W), and memory enough for it"


def _checked(net: nn.Module, lr: Tensor, sr: object, *, scale: int | None = None) -> Tensor:
    """The network's answer, checked and clipped."""
    name = type(net).__name__
    if not isinstance(sr, Tensor):
        raise ArgumentError(f"{name} returned {type(sr).__name__}; {_EXPECTED_NETWORK}")
    height, width = lr.shape[-2:]
    factor = sr.shape[-1] // width if sr.ndim == 4 else 0
    if factor < 1 or sr.shape != (lr.shape[0], 3, factor * height, factor * width):
        raise ArgumentError(f"{name} turned {tuple(lr.shape)} into {tuple(sr.shape)}; {_EXPECTED_NETWORK}")
    if scale not in (None, factor):  # a plain network says its scale only by what it returns
        raise ArgumentError(f"got scale={scale} and a model that enlarges by {factor}; leave one of them out")
    sr = sr.float()
    if not bool(sr.isfinite().all()):
        raise ArgumentError(f"{name} returned NaN or infinity; check its weights, or give it another dtype")
    return sr.clamp(0, 1)  # out of inference mode, so a tensor like any other, for training too


# --------------------------------------------------------------------------------------------- in, and back out again
def _upscale_pil(net: nn.Module, image: Image.Image, *, k: Amount | None, scale: int | None) -> Image.Image:
    picture = from_pil(image)
    enlarged = to_pil(_enlarged(picture, run(net, _batch_from(picture.rgb), k=k, scale=scale)))
    if "exif" in image.info:  # the pixels are not turned here, so the orientation still holds
        enlarged.info["exif"] = image.info["exif"]
    return enlarged


def _enlarged(picture: Picture, sr: Tensor) -> Picture:
    factor = sr.shape[-1] // picture.rgb.shape[1]
    alpha = None if picture.alpha is None else np.clip(resize_bicubic(picture.alpha, factor), 0, 1)
    rgb = sr.squeeze(0).permute(1, 2, 0).cpu().contiguous().numpy()
    return Picture(rgb, alpha=alpha, grey=picture.grey, depth=picture.depth, icc_profile=picture.icc_profile)


def _batch_from(image: np.ndarray) -> Tensor:
    """(H, W[, 3]) uint8 or floating point to (1, 3, H, W) float32 in 0..1; `_array_from` is the way back."""
    values = torch.from_numpy(np.array(image, dtype=np.float32, order="C"))  # a copy: arrays may be read-only
    if image.dtype == np.uint8:
        values = values / 255
    values = values.unsqueeze(-1).expand(-1, -1, 3) if values.ndim == 2 else values
    return values.permute(2, 0, 1).unsqueeze(0)


def _array_from(sr: Tensor, like: np.ndarray) -> np.ndarray:
    array: np.ndarray = sr.squeeze(0).permute(1, 2, 0).cpu().contiguous().numpy()
    if like.ndim == 2:
        array = np.clip(array @ LUMA, 0, 1)
    return (np.floor(array * 255 + 0.5) if like.dtype == np.uint8 else array).astype(like.dtype)


# -------------------------------------------------------------------------------------------------------------- checks
def _check_image(image: object) -> None:
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
    _check_range(int(image.numel() - image.isfinite().sum()), float(image.min()), float(image.max()))


def _check_range(broken: int, low: float, high: float) -> None:
    if broken:
        raise ImageError(
            f"got {broken} values that are NaN or infinite; replace them first, e.g. by numpy.nan_to_num or"
            " torch.nan_to_num"
        )
    if low < 0 or high > 1:
        raise ArgumentError(f"got values from {low:g} to {high:g}; expected 0..1: divide 0..255 by 255, or clip")
