"""Validation while training: PSNR on a few pictures, against HR or against the original network's own output."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mga_wrap.config import Amount, check_k
from mga_wrap.errors import ArgumentError
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.score import ScorePredictor
from mga_wrap.pictures.arrays import as_bytes
from mga_wrap.pictures.metrics import psnr
from mga_wrap.train.data import Data, Pair, fingerprints, read_images
from mga_wrap.train.parts import on_purpose


@dataclass(frozen=True)
class Validation:
    """What to validate on.

    Attributes:
        hr: folder of HR images, reduced by the exact bicubic where there is no `lr`.
        lr: folder of LR images, as in `Data`; alone it is enough where the original network's output is the target.
        images: use the first so many of them.
        every: steps between two validations; one more comes at the end of each stage.
        k: each amount to validate; the last one decides which weights are the best. None: 0 and the net's own k.
    """

    hr: Path | None = None
    lr: Path | None = None
    images: int = 6
    every: int = 500
    k: tuple[Amount, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("hr", "lr"):
            if (folder := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(folder))  # text does, too
        if self.images < 1 or self.every < 1:
            raise ArgumentError(f"got images={self.images}, every={self.every}; expected both at least 1")
        if self.k is not None:
            if not isinstance(self.k, tuple | list) or not self.k:
                raise ArgumentError(
                    f"got k={self.k!r}; expected a list of amounts, or None for 0 and the network's own"
                )
            object.__setattr__(self, "k", tuple(check_k(k) for k in self.k))


class Validator:
    """Validates a network on pictures that are read once.

    Args:
        net: before training: where the original's output is the target, it is taken from here.
        validation: the pictures.
        taught: compare with the original network's own output, not with HR.

    Attributes:
        facts: what it measures, for the plan of a training.
    """

    def __init__(self, net: MGANet, validation: Validation, *, taught: bool) -> None:
        self.ks = (0, net.k) if validation.k is None else validation.k
        images = read_images(
            Data(hr=validation.hr, lr=validation.lr),
            scale=net.scale,
            channels=net.geometry.channels,
            smallest=net.p,
            taught=taught,
            limit=validation.images,
        )
        self.facts = {"k": list(self.ks), "images": fingerprints(images.pairs)}
        self._pairs = [self._pair(net, pair) for pair in images.pairs]

    @property
    def columns(self) -> list[str]:
        """Names of the figures; the last decides."""
        return [f"psnr_{k}" for k in self.ks]

    @torch.no_grad()
    def __call__(self, net: MGANet) -> dict[str, float]:
        """Mean PSNR-Y in dB for each k; NaN for k="auto" as long as the score is not calibrated."""
        values: list[list[float]] = [[] for _ in self.ks]
        for lr, expected in self._pairs:
            for of_one, k in zip(values, self.ks, strict=True):
                of_one.append(self._psnr(net, lr, k, expected))
        return {name: round(float(np.mean(of_one)), 4) for name, of_one in zip(self.columns, values, strict=True)}

    def _psnr(self, net: MGANet, lr: Tensor, k: Amount, expected: np.ndarray) -> float:
        if k == "auto" and isinstance(net.mask, ScorePredictor) and not net.mask.is_calibrated:
            return math.nan
        with on_purpose(net):
            return psnr(_image(net(lr.to(_device(net)), k=k)), expected, border=net.scale)

    @torch.no_grad()
    def _pair(self, net: MGANet, pair: Pair) -> tuple[Tensor, np.ndarray]:
        lr = torch.from_numpy(pair.lr.astype(np.float32) / 255).permute(2, 0, 1)[None]  # channels last
        expected = _image(net(lr.to(_device(net)), k="dense")) if pair.hr is None else pair.hr.squeeze()
        return lr, expected


def _image(sr: Tensor) -> np.ndarray:
    """(1, C, H, W) -> (H, W, C) uint8, or (H, W)."""
    pixels = as_bytes(sr[0].float().permute(1, 2, 0).cpu().numpy())
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _device(net: MGANet) -> torch.device:
    return next(net.parameters()).device
