"""The original network's output for crops that come again: computed once, kept on the disk."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mga_wrap.files import whole_file
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.parts import coarse_tail
from mga_wrap.train.parts import is_the_original

FOLDER = "originals"
"""In the folder of a training, while a stage is under way."""
DIGEST = 16
"""Bytes, of a key and of an entry's content."""


class Originals:
    """lr crops -> the original's output for each, in half precision: 1/4096 at the most is lost of a value below 1.

    Each crop runs alone and is rounded whether it is kept or not, so that nothing depends on what is on the disk: it
    may be taken away at any time. An entry is known by the original's weights and the crop's pixels; one that is broken
    is computed again. When the folder is full nothing more is kept, and nothing is taken out of it: crops come in turn,
    so the oldest is the one that is needed next.

    Args:
        folder: of the entries; it is made when it is needed.
        original: a net with the original's weights, in eval mode.
        limit: bytes that may be kept; 0: none.
        side: of an lr image that the net takes.
    """

    def __init__(self, folder: Path, *, original: MGANet, limit: int, side: int) -> None:
        self.folder, self.original, self.limit = folder, original, limit
        self._digest = _digest(original, side=side)
        self._used = sum(path.stat().st_size for path in folder.glob("*.f16")) if folder.is_dir() else 0

    @torch.no_grad()
    def __call__(self, lr: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 3, s*H, s*W), on the same device."""
        return torch.cat([self._one(crop) for crop in lr.split(1)])

    def remove(self) -> None:
        """Take everything away."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._used = 0

    def _one(self, lr: Tensor) -> Tensor:
        path = self.folder / f"{self._key(lr)}.f16"
        shape = (1, lr.shape[1], *(self.original.scale * side for side in lr.shape[2:]))
        kept = _read(path, shape) if self.limit else None
        if kept is None:
            kept = self.original(lr, k="dense").half().cpu()
            self._write(path, kept)
        return kept.to(lr)

    def _write(self, path: Path, output: Tensor) -> None:
        content = output.contiguous().numpy().tobytes()
        if self._used + len(content) + DIGEST > self.limit:
            return
        with suppress(
            OSError
        ):  # keeping is a favour: a full disk, or a folder just taken away, must not end a training
            with whole_file(path) as part:
                part.write_bytes(_hash(content) + content)
            self._used += len(content) + DIGEST

    def _key(self, lr: Tensor) -> str:
        pixels = lr.detach().cpu().contiguous().numpy()
        return _hash(self._digest + repr(pixels.shape).encode() + pixels.tobytes()).hex()


def _read(path: Path, shape: tuple[int, ...]) -> Tensor | None:
    try:
        found = path.read_bytes()
    except OSError:
        return None
    digest, content = found[:DIGEST], found[DIGEST:]
    if len(content) != 2 * int(np.prod(shape)) or _hash(content) != digest:
        return None
    return torch.from_numpy(np.frombuffer(content, dtype=np.float16).reshape(shape).copy())


def _digest(net: MGANet, *, side: int) -> bytes:
    """Of all weights and buffers that the original's output depends on."""
    tail = coarse_tail(net, side=side)
    digest = hashlib.blake2b(digest_size=DIGEST)
    for name, value in net.state_dict().items():
        if is_the_original(name, tail=tail):
            digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.digest()


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST).digest()
