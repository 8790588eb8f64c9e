"""What a network is fitted on: pictures kept apart, and crops that are the same for the same seed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from mga_wrap.fitting.sources import apart, crops
from mga_wrap.pictures.bicubic import resize_bicubic


def pictures(*sides: tuple[int, int]) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (*side, 3), dtype=np.uint8) for side in sides]


def test_a_quarter_is_kept_apart_and_nothing_is_in_both() -> None:
    given = pictures(*[(20, 20)] * 8)
    learn, measure = apart(given, smallest=8, seed=1)
    assert (len(learn), len(measure)) == (6, 2)
    assert {id(one) for one in learn} | {id(one) for one in measure} == {id(one) for one in given}


@pytest.mark.parametrize("side", [(100, 40), (40, 100)])
def test_a_single_picture_is_divided_along_its_longer_side(side: tuple[int, int]) -> None:
    (learn,), (measure,) = apart(pictures(side), smallest=20, seed=0)
    assert learn.shape[:2] == (75, 40)
    assert measure.shape[:2] == (25, 40)


def test_one_that_is_too_small_to_divide_is_used_for_both() -> None:
    (picture,) = pictures((60, 40))
    (learn,), (measure,) = apart([picture], smallest=20, seed=0)
    assert learn is measure is picture


def test_crops_are_the_same_for_a_seed_and_lr_is_hr_reduced() -> None:
    given = pictures((90, 70), (64, 128))
    one, two, other = (list(itertools.islice(crops(given, scale=2, side=16, seed=seed), 6)) for seed in (3, 3, 4))
    assert all(torch.equal(a.lr, b.lr) and torch.equal(a.hr, b.hr) for a, b in zip(one, two, strict=True))
    assert not all(torch.equal(a.lr, b.lr) for a, b in zip(one, other, strict=True))
    for crop in one:
        assert (crop.lr.shape, crop.hr.shape) == ((1, 3, 16, 16), (1, 3, 32, 32))
        hr = (crop.hr[0].permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
        reduced = torch.from_numpy(resize_bicubic(hr, 1 / 2).astype(np.float32) / 255).permute(2, 0, 1)
        assert torch.equal(crop.lr[0], reduced)


def test_a_picture_smaller_than_a_crop_gives_smaller_crops() -> None:
    crop = next(crops(pictures((20, 30)), scale=2, side=16, seed=0))
    assert (crop.lr.shape[-1], crop.hr.shape[-1]) == (10, 20)
