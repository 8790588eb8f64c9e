"""The images of a training, as batches for each stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys.trainings import STAGES, noise, paper_net, smooth

import mga_wrap as mga
from mga_wrap.train.data import Data
from mga_wrap.train.feed import Feed


def feed(folder: Path, stages: tuple[mga.Stage, ...] = STAGES, *, taught: bool = False, seed: int = 0) -> Feed:
    return Feed(Data(hr=folder), net=paper_net(), stages=stages, taught=taught, seed=seed)


def test_batches_begin_at_a_step_and_end_with_the_stage(tmp_path: Path) -> None:
    one = feed(smooth(tmp_path))
    whole = list(one.batches(one.crops(0), number=0, first=0, processes=1, rank=0))
    rest = list(one.batches(one.crops(0), number=0, first=4, processes=1, rank=0))
    assert (len(whole), len(rest)) == (STAGES[0].steps, STAGES[0].steps - 4)
    assert all(torch.equal(a.lr, b.lr) for a, b in zip(whole[4:], rest, strict=True))
    assert whole[0].lr.shape == (2, 3, 8, 8)
    assert whole[0].hr.shape == (2, 3, 16, 16)


def test_stages_and_seeds_draw_other_crops(tmp_path: Path) -> None:
    one, other = feed(smooth(tmp_path)), feed(tmp_path, seed=1)
    first = one.crops(0).batch(0, range(2)).lr
    assert not torch.equal(first, one.crops(1).batch(0, range(2)).lr)
    assert not torch.equal(first, other.crops(0).batch(0, range(2)).lr)


def test_without_ground_truth_there_is_no_hr(tmp_path: Path) -> None:
    one = feed(smooth(tmp_path), taught=True)
    assert next(one.batches(one.crops(0), number=0, first=0, processes=1, rank=0)).hr is None


def test_a_stage_takes_the_images_that_its_crops_fit_into(tmp_path: Path) -> None:
    noise(tmp_path / "large.png", 64, 64)
    noise(tmp_path / "small.png", 20, 20)
    stages = (STAGES[0], replace(STAGES[1], crop=24))
    one = feed(tmp_path, stages)
    assert [[pair.name for pair in one.crops(number).pairs] for number in (0, 1)] == [
        ["large.png", "small.png"],
        ["large.png"],
    ]
    with pytest.raises(
        mga.ImageError, match=r"stage 'mask': no image is as large as a crop of 40 x 40 lr pixels; give"
    ):
        feed(tmp_path, (STAGES[0], replace(STAGES[1], crop=40)))
