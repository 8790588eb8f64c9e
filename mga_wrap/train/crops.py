"""Crops for each step: drawn where there is detail, the same for the same seed and step in every process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mga_wrap.errors import ArgumentError
from mga_wrap.train.data import Pair

STRIDE = 4
"""Crops are drawn from a table with one entry for STRIDE x STRIDE positions, then moved at random inside it."""
HELD, FEW = 32, 4
"""Most crops of a stage that are held out, and how many are drawn where so few would be too much of the images."""
ROOM = 40
"""Crops that the images have to hold for each that is held out: the places that overlap it are a tenth of them."""
REPEATS, LEAST = 8, 512
"""How often a crop comes where the original's output is needed for it, and fewest crops of such a stage."""
_APART = 2**40
"""In place of a step, where crops are drawn that belong to none."""


def check_seed(seed: int) -> int:
    """The seed of a training, if it is one.

    Raises:
        ArgumentError: it is not.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ArgumentError(f"got seed={seed!r}; expected a whole number from 0 to 2**63 - 1")
    return seed


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops of one batch.

    Attributes:
        lr: (B, C, crop, crop), 0..1, channels last.
        hr: (B, C, s*crop, s*crop), or None.
        names: the file of each crop.
    """

    lr: Tensor
    hr: Tensor | None
    names: tuple[str, ...]

    def split(self, size: int) -> list[Batch]:
        """Batches of at most so many crops."""
        hr: Sequence[Tensor | None] = [None] * len(self.lr) if self.hr is None else self.hr.split(size)
        return [Batch(lr, hr[i], self.names[i * size :][:size]) for i, lr in enumerate(self.lr.split(size))]

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        hr = None if self.hr is None else self.hr.to(device, non_blocking=True)
        return Batch(self.lr.to(device, non_blocking=True), hr, self.names)


_Crop = tuple[np.ndarray, np.ndarray | None, str]
"""lr, hr and the name of the file."""


class Crops:
    """Draws crops.

    Photographs are mostly sky and wall: a crop is drawn with a probability that grows with its detail (the mean
    absolute gradient of its lr, to the power `detail`), then turned and mirrored at random.

    A few, `held`, are drawn uniformly and kept apart: nothing that overlaps them is drawn for a step, unless the images
    are so few and small that this would take much of them away.

    Args:
        pairs: the images, each at least as large as a crop.
        scale: s.
        crop: side of an lr crop.
        detail: 0 draws uniformly.
        seed: numbers that the draws depend on.
        a_step: how many crops a step has, in all processes.
        pool: after so many crops the same come again, in another order each time; None: never.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        scale: int,
        crop: int,
        detail: float,
        seed: tuple[int, ...],
        a_step: int = 1,
        pool: int | None = None,
    ) -> None:
        self.pairs, self.scale, self.crop, self.seed, self.a_step, self.pool = pairs, scale, crop, seed, a_step, pool
        places, weights = zip(*(_places(pair.lr, crop, image) for image, pair in enumerate(pairs)), strict=True)
        self._places = np.concatenate(places)  # (n, 3): image, row, column
        weight = np.concatenate(weights)
        weight = np.clip(weight, 0, np.quantile(weight, 0.99)) ** detail
        if not weight.any():  # nothing but flat images
            weight = np.ones_like(weight)
        draw = np.random.default_rng([*seed, _APART])
        room = sum(pair.lr[..., 0].size for pair in pairs) // (ROOM * crop**2)
        self._held = self._places[draw.integers(len(self._places), size=max(FEW, min(room, HELD)))]
        if room >= FEW:
            apart = np.where(self._is_held(), 0, weight)
            weight = apart if apart.any() else weight  # all that is not flat is held out
        self._cumulative = np.cumsum(weight / weight.sum())

    @property
    def held(self) -> Batch:
        """Crops to judge by, up to `HELD`: the same for the same seed."""
        return _batch([self._cut(*place, turn=0, mirror=False) for place in self._held])

    def _is_held(self) -> np.ndarray:
        """(n,): where a crop that is drawn there may overlap one that is held out."""
        found = np.zeros(len(self._places), dtype=bool)
        reach = self.crop + STRIDE
        for image, row, column in self._held:
            near = np.abs(self._places[:, 1:] - (row, column)).max(axis=1) < reach
            found |= near & (self._places[:, 0] == image)
        return found

    def batch(self, step: int, numbers: range) -> Batch:
        """The crops of one step with these numbers; each depends on seed, step and its number alone."""
        first = [(step, number) if self.pool is None else self._again(step, number, self.pool) for number in numbers]
        return _batch([self._draw(np.random.default_rng([*self.seed, *one])) for one in first])

    def _again(self, step: int, number: int, pool: int) -> tuple[int, int]:
        """The step and the number at which this crop came first."""
        turn, place = divmod(step * self.a_step + number, pool)
        return divmod(place if turn == 0 else int(_order((*self.seed, _APART, turn), pool)[place]), self.a_step)

    def _draw(self, rng: np.random.Generator) -> _Crop:
        place = min(int(np.searchsorted(self._cumulative, rng.random())), len(self._places) - 1)
        image, row, col = self._places[place]
        height, width = self.pairs[image].lr.shape[:2]
        row = min(row + rng.integers(STRIDE), height - self.crop)
        col = min(col + rng.integers(STRIDE), width - self.crop)
        return self._cut(image, row, col, turn=int(rng.integers(4)), mirror=bool(rng.integers(2)))

    def _cut(self, image: int, row: int, col: int, *, turn: int, mirror: bool) -> _Crop:
        pair, s, c = self.pairs[image], self.scale, self.crop
        lr = _turned(pair.lr[row : row + c, col : col + c], turn, mirror)
        if pair.hr is None:
            return lr, None, pair.name
        hr = pair.hr[s * row : s * (row + c), s * col : s * (col + c)]
        return lr, _turned(hr, turn, mirror), pair.name


class _Batches(Dataset[Batch]):
    """Batch number i of one process: of step i // accumulate."""

    def __init__(self, crops: Crops, *, size: int, accumulate: int, processes: int, rank: int) -> None:
        self.crops, self.size, self.accumulate, self.processes, self.rank = crops, size, accumulate, processes, rank

    def __getitem__(self, index: int) -> Batch:
        step, part = divmod(index, self.accumulate)
        first = (part * self.processes + self.rank) * self.size
        return self.crops.batch(step, range(first, first + self.size))


def batches(
    crops: Crops, *, size: int, accumulate: int, steps: range, processes: int = 1, rank: int = 0, workers: int = 0
) -> DataLoader[Any]:
    """The batches of these steps for one process, in order: `accumulate` for each step.

    All processes together get the crops that one process with a larger batch would get.
    """
    first, last = steps.start * accumulate, steps.stop * accumulate
    dataset = _Batches(crops, size=size, accumulate=accumulate, processes=processes, rank=rank)
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=range(first, last),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        collate_fn=_as_it_is,
        generator=torch.Generator(),  # or drawing a worker's seed would move the global random state
    )


def _as_it_is(batch: Any) -> Any:
    return batch


@lru_cache(maxsize=4)
def _order(seed: tuple[int, ...], count: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(count)


def pool_of(draws: int) -> int:
    """How many crops a stage of so many draws has where the original's output is needed for each of them."""
    return max(LEAST, -(-draws // REPEATS))


def _batch(crops: Sequence[_Crop]) -> Batch:
    hr = [one[1] for one in crops if one[1] is not None]
    return Batch(_to_tensor([one[0] for one in crops]), _to_tensor(hr) if hr else None, tuple(one[2] for one in crops))


def _turned(x: np.ndarray, turn: int, mirror: bool) -> np.ndarray:
    return np.rot90(x[:, ::-1] if mirror else x, turn)


def _places(lr: np.ndarray, crop: int, image: int) -> tuple[np.ndarray, np.ndarray]:
    """Where crops may start, (n, 3), and the mean absolute gradient of each, (n,)."""
    grey = lr.astype(np.float32).mean(axis=2)
    edges = np.zeros_like(grey)
    edges[:, 1:] += np.abs(np.diff(grey, axis=1))
    edges[1:] += np.abs(np.diff(grey, axis=0))
    total = np.pad(edges.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    detail = total[crop:, crop:] - total[:-crop, crop:] - total[crop:, :-crop] + total[:-crop, :-crop]
    detail = detail[::STRIDE, ::STRIDE] / crop**2
    rows, cols = np.meshgrid(*(STRIDE * np.arange(n) for n in detail.shape), indexing="ij")
    return np.stack([np.full(detail.size, image), rows.ravel(), cols.ravel()], axis=1), detail.ravel()


def _to_tensor(images: Sequence[np.ndarray]) -> Tensor:
    """B images (H, W, C) uint8 -> (B, C, H, W) float in 0..1, channels last."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div_(255)
