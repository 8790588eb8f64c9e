"""Crops: pairs that belong together, the same for the same seed and step in however many processes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from toys.trainings import noise

import mga_wrap as mga
from mga_wrap.pictures.bicubic import resize_bicubic
from mga_wrap.train.crops import STRIDE, Batch, Crops, batches
from mga_wrap.train.data import Data, Pair, read_images
from mga_wrap.train.losses import LOSSES, Outputs


def crops_of(folder: Path, *, scale: int = 2, crop: int = 8, detail: float = 2.0, seed: int = 0) -> Crops:
    pairs = read_images(Data(hr=folder), scale=scale, channels=3, smallest=crop, taught=False).pairs
    return Crops(pairs, scale=scale, crop=crop, detail=detail, seed=(seed,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    noise(tmp_path / "one.png", 61, 90)
    noise(tmp_path / "two.png", 75, 50, seed=1)
    return tmp_path


def eight_ways(x: np.ndarray) -> list[np.ndarray]:
    return [np.rot90(y, turn) for y in (x, x[:, ::-1]) for turn in range(4)]


def pixels(x: torch.Tensor) -> np.ndarray:
    return (x.permute(0, 2, 3, 1) * 255).round().byte().numpy()


def test_the_same_seed_and_step_give_the_same_crops(folder: Path) -> None:
    one, two = (crops_of(folder, seed=3) for _ in range(2))
    for step in (7, 0, 7):  # whatever was drawn before
        a, b = one.batch(step, range(4)), two.batch(step, range(4))
        assert torch.equal(a.lr, b.lr)
        assert torch.equal(a.hr, b.hr)
        assert a.names == b.names
    first = one.batch(0, range(4)).lr
    assert not torch.equal(first, one.batch(1, range(4)).lr)
    assert not torch.equal(first, crops_of(folder, seed=4).batch(0, range(4)).lr)


def joined(parts: list[Batch]) -> torch.Tensor:
    return torch.cat([part.lr for part in parts])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("processes", "accumulate"), [(1, 1), (2, 1), (1, 3), (2, 3)])
def test_processes_and_accumulation_share_one_large_batch(
    processes: int, accumulate: int, workers: int, folder: Path
) -> None:
    crops = crops_of(folder)
    size = 12 // processes // accumulate
    feeds = [
        list(
            batches(
                crops,
                size=size,
                accumulate=accumulate,
                steps=range(4, 6),
                processes=processes,
                rank=rank,
                workers=workers,
            )
        )
        for rank in range(processes)
    ]
    for number, step in enumerate((4, 5)):
        parts = [feed[number * accumulate + part] for part in range(accumulate) for feed in feeds]
        assert torch.equal(joined(parts), crops.batch(step, range(12)).lr)
        assert sum((part.names for part in parts), ()) == crops.batch(step, range(12)).names


def test_drawing_leaves_the_global_random_states_alone(folder: Path) -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    next(iter(batches(crops_of(folder), size=2, accumulate=1, steps=range(2))))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pairs_are_one_place_of_the_image_and_of_its_reduction(scale: int, folder: Path) -> None:
    crops = crops_of(folder, scale=scale, crop=9)
    places = {}
    for image, pair in enumerate(crops.pairs):
        for row in range(pair.lr.shape[0] - 8):
            for col in range(pair.lr.shape[1] - 8):
                places[pair.lr[row : row + 9, col : col + 9].tobytes()] = image, row, col
    batch = crops.batch(5, range(12))
    assert batch.lr.shape == (12, 3, 9, 9)
    assert batch.hr.shape == (12, 3, 9 * scale, 9 * scale)
    ways = set()
    for small, large, name in zip(pixels(batch.lr), pixels(batch.hr), batch.names, strict=True):
        found = [(way, places[x.tobytes()]) for way, x in enumerate(eight_ways(small)) if x.tobytes() in places]
        assert len(found) == 1
        way, (image, row, col) = found[0]
        pair = crops.pairs[image]
        region = pair.hr[scale * row : scale * (row + 9), scale * col : scale * (col + 9)]
        assert np.array_equal(eight_ways(large)[way], region)
        assert name == pair.name
        ways.add(way)
    assert len(ways) > 2  # turned and mirrored


def test_values_lie_in_0_to_1_and_channels_last(folder: Path) -> None:
    batch = crops_of(folder).batch(0, range(4))
    for x in (batch.lr, batch.hr):
        assert x.dtype == torch.float32
        assert x.min() >= 0
        assert 0.5 < x.max() <= 1
        assert x.is_contiguous(memory_format=torch.channels_last)


def test_where_the_original_teaches_there_is_no_hr() -> None:
    lr = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    batch = Crops([Pair("a", lr, None)], scale=2, crop=8, detail=0.0, seed=(0,)).batch(0, range(3))
    assert batch.hr is None
    assert batch.to(torch.device("cpu")).hr is None
    assert batch.lr.shape == (3, 3, 8, 8)


def test_textured_places_are_preferred(tmp_path: Path) -> None:
    image = np.full((96, 192, 3), 90, dtype=np.uint8)
    image[:, 96:] = np.random.default_rng(0).integers(0, 256, (96, 96, 3))
    Image.fromarray(image).save(tmp_path / "half.png")
    drawn = {}
    for detail in (0.0, 2.0):
        lr = crops_of(tmp_path, detail=detail).batch(0, range(200)).lr
        drawn[detail] = float((lr.std(dim=(1, 2, 3)) < 0.01).float().mean())
    assert 0.35 < drawn[0.0] < 0.6  # uniform
    assert drawn[2.0] < 0.02


@pytest.mark.parametrize("detail", [0.0, 0.5, 2.0])
def test_an_image_without_any_detail_is_drawn_from_uniformly(detail: float, tmp_path: Path) -> None:
    flat = np.zeros((128, 128, 3), dtype=np.uint8)
    flat[:2, :2] = 200  # so little that it lies beyond the quantile at which detail is cut off
    Image.fromarray(flat).save(tmp_path / "flat.png")
    crops = crops_of(tmp_path, detail=detail)
    assert np.isfinite(crops._cumulative).all()
    draws = np.searchsorted(crops._cumulative, np.linspace(0, 0.999, 2000))
    assert len(set(draws.tolist())) == len(crops._places)


def test_every_place_can_be_drawn(tmp_path: Path) -> None:
    """The table has one entry for STRIDE x STRIDE places; the last ones are moved back inside."""
    noise(tmp_path / "a.png", 26, 30)
    crops = crops_of(tmp_path, detail=0.0)  # lr 13 x 15: rows 0..5, columns 0..7
    assert STRIDE == 4
    lr = crops.pairs[0].lr
    places = {
        way.tobytes(): (row, col)
        for row in range(6)
        for col in range(8)
        for way in eight_ways(lr[row : row + 8, col : col + 8])
    }
    drawn = torch.cat([crops.batch(step, range(32)).lr for step in range(20)])
    seen = {places[crop.tobytes()] for crop in pixels(drawn)}
    assert seen == {(row, col) for row in range(6) for col in range(8)}


def test_a_crop_of_the_whole_image(tmp_path: Path) -> None:
    hr = noise(tmp_path / "a.png", 17, 16)
    batch = crops_of(tmp_path).batch(0, range(1))
    expected = resize_bicubic(hr[:16], 1 / 2)
    assert any(np.array_equal(way, expected) for way in eight_ways(pixels(batch.lr)[0]))


def test_drawing_takes_a_small_part_of_a_step_of_the_smallest_backbone(tmp_path: Path) -> None:
    """So the crops are there when they are needed, without a process of their own."""
    noise(tmp_path / "a.png", 400, 400)
    crops = crops_of(tmp_path, scale=4, crop=16)
    net = mga.accelerate(mga.create_backbone("fsrcnn", scale=4), split_at=3, style="paper")

    def seconds(work: object) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    def learn() -> None:
        batch = crops.batch(0, range(16))
        out = Outputs(net, batch.lr, batch.hr)
        (10 * LOSSES["refined_l1"](out) + LOSSES["coarse_l1"](out)).backward()

    drawn = min(seconds(lambda: crops.batch(0, range(16))) for _ in range(5))
    assert drawn < 0.15 * min(seconds(learn) for _ in range(5))
