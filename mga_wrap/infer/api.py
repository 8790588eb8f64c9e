"""Enlarge pictures, arrays and tensors: what comes back is what was given, larger."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mga_wrap.config import Amount
from mga_wrap.infer.compiled import Engine, runner_for
from mga_wrap.infer.engine import DType, checked, run, run_traced
from mga_wrap.infer.networks import Model, network_for
from mga_wrap.nets.mga import MGANet, MGATrace
from mga_wrap.pictures.arrays import Arrival, array_from, batch_from, check_image
from mga_wrap.pictures.bicubic import resize_bicubic
from mga_wrap.pictures.files import Picture, from_pil, to_pil

ImageLike = TypeVar("ImageLike", Image.Image, np.ndarray, Tensor)


def upscale(
    image: ImageLike,
    *,
    model: Model | None = None,
    scale: int | None = None,
    k: Amount | None = None,
    device: str | torch.device = "auto",
    dtype: DType | None = None,
    engine: Engine = "torch",
) -> ImageLike:
    """Enlarge an image; it comes back as the kind that was given.

    Args:
        image: a PIL image of any mode (grey, palette, alpha, CMYK, 16-bit grey, ...), an array (H, W, 3) or (H, W),
            uint8 or floating point in 0..1, or a tensor (3, H, W) or (B, 3, H, W), floating point in 0..1.
        model: a network from (B, 3, H, W) to (B, 3, s*H, s*W), values in 0..1; the name of a pretrained one
            ("fsrcnn-m-x4"), or a folder written by `save_pretrained`. None: the one that lies in the package for this
            scale. A network that you give is neither moved nor changed, and other threads may use it meanwhile: if
            any part of it is in train mode, a copy in eval mode that shares its weights is made for this call, on
            which also stays what a forward stores. `model.eval()` beforehand saves the copy.
        scale: how many times a side grows; 4 if neither model nor scale is given.
        k: how much to refine, see `MGANet.forward`; None is the network's own. Only for an `MGANet`.
        device: "auto" (CUDA, else MPS, else the CPU; for a network that you give, where it lies) or a torch device.
        dtype: of the arithmetic. None is that of the weights. "bfloat16" is about twice as fast where the processor
            has it (AVX512-BF16, AMX, CUDA since Ampere), slower elsewhere, and costs less than 0.02 dB (docs/speed.md);
            "float16" is for GPUs.
        engine: "torch", "openvino", "onnxruntime", or "auto" for what is fastest here; see `mga_wrap.compile`. What a
            network was made into is kept for the next call with it.

    Returns:
        The image enlarged, in 0..1 or 0..255 (rounded half up): an array or tensor of the same dtype (and device), a
        PIL image of the same mode, except that a palette or CMYK becomes RGB(A), a 1-bit image grey, and I becomes
        I;16. An alpha channel is enlarged by exact bicubic interpolation. A PIL image is turned upright as its EXIF
        orientation says, and keeps its EXIF, in which the orientation is 1 then, and its colour profile.

    Raises:
        ImageError: image is no such image, or holds NaN or infinity.
        ArgumentError: values outside 0..1, a model that is no SR network or of another scale, one in train mode that
            cannot be copied, a k or dtype that does not exist, a device that does not or computes no images.
        CheckpointError: no pretrained network of that name, or a broken one.

    Example:
        >>> import mga_wrap as mga, numpy as np
        >>> lr = np.full((20, 30, 3), 128, dtype=np.uint8)
        >>> mga.upscale(lr, model="fsrcnn-m-x2").shape
        (40, 60, 3)
    """
    check_image(image)
    net = network_for(model, scale=scale, device=device)

    def enlarged(lr: Tensor) -> Tensor:
        if engine == "torch":
            return run(net, lr, k=k, scale=scale, dtype=dtype)
        return checked(net, lr, runner_for(net, engine, dtype)(lr, k=k), scale=scale)

    result: Image.Image | np.ndarray | Tensor
    if isinstance(image, Image.Image):
        picture = from_pil(image)
        result = to_pil(Enlarged(picture, enlarged(batch_from(picture.rgb)), written=True).picture())
    elif isinstance(image, np.ndarray):
        result = array_from(enlarged(batch_from(image)), image)
    else:
        sr = enlarged(image.unsqueeze(0) if image.ndim == 3 else image)
        result = (sr.squeeze(0) if image.ndim == 3 else sr).to(image.device, image.dtype)
    return result  # the kind that came in, as each branch says


def enlarge(
    net: nn.Module,
    picture: Picture,
    *,
    k: Amount | None = None,
    dtype: DType | None = None,
    engine: Engine = "torch",
) -> Picture:
    """Enlarge a picture with a network from `network_for`; grey stays grey, alpha is interpolated bicubically."""
    lr = batch_from(picture.rgb)
    if engine != "torch":
        return _larger(picture, runner_for(net, engine, dtype)(lr, k=k))
    return _larger(picture, run(net, lr, k=k, dtype=dtype))


def explain(
    net: MGANet,
    picture: Picture,
    *,
    k: Amount | None = None,
    dtype: DType | None = None,
    engine: Engine = "torch",
) -> tuple[Picture, MGATrace]:
    """Like `enlarge`, with everything that `MGANet.trace` shows."""
    lr = batch_from(picture.rgb)
    if engine != "torch":
        sr, trace = runner_for(net, engine, dtype).trace(lr, k=k)
    else:
        sr, trace = run_traced(net, lr, k=k, dtype=dtype)
    return _larger(picture, sr), trace


def enlarge_to_write(
    net: nn.Module, picture: Picture, *, k: Amount | None, dtype: DType | None, engine: Engine, traced: bool
) -> tuple[Enlarged, float | None, MGATrace | None]:
    """Enlarge a picture of a folder: on a GPU it may still be on its way, and a size that comes again is replayed.

    Returns:
        The picture, the share that was refined (None for a network that refines nothing), and all that
        `MGANet.trace` shows where that is asked for.
    """
    lr, runner = batch_from(picture.rgb), runner_for(net, engine, dtype)
    if traced:
        sr, trace = runner.trace(lr, k=k)
        return Enlarged(picture, sr, written=True), trace.share, trace
    found = runner.enlarge(lr, k=k)
    share = found.share if isinstance(net, MGANet) else None
    return Enlarged(picture, found.sr, written=True), share, None


class Enlarged:
    """A picture that was enlarged, and may be on its way from the device.

    Args:
        small: what it was made of.
        sr: (1, 3, s*H, s*W), in 0..1.
        written: it is only to be written: rounded to bytes where the picture has no more than that.
    """

    def __init__(self, small: Picture, sr: Tensor, *, written: bool) -> None:
        self.size = sr.shape[-1], sr.shape[-2]
        self._small, self._factor = small, sr.shape[-1] // small.rgb.shape[1]
        self._arrival = Arrival(sr, rounded=written and small.depth == 8 and not small.grey)

    def picture(self) -> Picture:
        """The picture; waits until it is here."""
        alpha = self._small.alpha
        if alpha is not None:
            alpha = np.clip(resize_bicubic(alpha, self._factor), 0, 1)
        return replace(self._small, rgb=self._arrival.array(), alpha=alpha)


def _larger(picture: Picture, sr: Tensor) -> Picture:
    return Enlarged(picture, sr, written=False).picture()
