"""Small pictures to train on, and what is common to trainings in the tests."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

import mga_wrap as mga
from mga_wrap.train.stages import Stage

STAGES = (
    replace(mga.PAPER_STAGES[0], steps=6, batch=2, crop=8, warmup=2),
    replace(mga.PAPER_STAGES[1], steps=4, batch=2, crop=8, warmup=1),
)

FINETUNE = tuple(replace(stage, steps=6, batch=2, crop=16, warmup=1) for stage in mga.FINETUNE_STAGES)


def noise(path: Path, height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """Every crop of it is a place of its own."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(image).save(path)
    return image


def smooth(folder: Path, *, names: str = "ab", side: int = 64) -> Path:
    """Pictures that can be learned from."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        image = np.random.default_rng(seed).integers(0, 256, (10, 10, 3), dtype=np.uint8)
        Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    """The log of a training."""
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def equal(one: nn.Module, two: nn.Module) -> bool:
    """Whether all weights are equal, bit for bit; what is not calibrated is NaN in both."""
    a, b = one.state_dict(), two.state_dict()
    return a.keys() == b.keys() and all(torch.allclose(a[name], b[name], rtol=0, atol=0, equal_nan=True) for name in a)


def paper_net(**options: object) -> mga.MGANet:
    """A tiny network x2 in style "paper"."""
    from toys.plain import build

    return mga.accelerate(build("LongSkip", 2), style="paper", **options)


def long_stages() -> tuple[Stage, ...]:
    """Enough steps to be killed in."""
    return tuple(replace(stage, steps=25) for stage in STAGES)
