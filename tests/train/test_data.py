"""Training crops: pairs that belong together, the same for the same seed and step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mga_wrap.errors import ImageError
from mga_wrap.measure.degrade import crop_to_multiple, resize_bicubic
from mga_wrap.train.data import STRIDE, Crops


def write(path: Path, height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """Noise: every crop of it is a place of its own."""
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(image).save(path)
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "one.png", 61, 90)
    write(tmp_path / "two.png", 75, 50, seed=1)
    return tmp_path


def eight_ways(x: np.ndarray) -> list[np.ndarray]:
    return [np.rot90(y, turn) for y in (x, x[:, ::-1]) for turn in range(4)]


def test_the_same_seed_and_step_give_the_same_crops(folder: Path) -> None:
    one, two = (Crops(folder, scale=2, crop=8, seed=3) for _ in range(2))
    for step in (7, 0, 7):  # whatever was drawn before
        for x, y in zip(one.batch(step, 4), two.batch(step, 4), strict=True):
            assert torch.equal(x, y)
    first = one.batch(0, 4)[0]
    assert not torch.equal(first, one.batch(1, 4)[0])
    assert not torch.equal(first, Crops(folder, scale=2, crop=8, seed=4).batch(0, 4)[0])


def test_drawing_leaves_the_global_random_states_alone(folder: Path) -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    Crops(folder, scale=2, crop=8).batch(0, 2)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pairs_are_one_place_of_the_image_and_of_its_exact_reduction(scale: int, folder: Path) -> None:
    """Cropped first and reduced then, pixels at the border of a crop would differ."""
    crops = Crops(folder, scale=scale, crop=9)
    hrs = [np.asarray(Image.open(folder / name)) for name in ("one.png", "two.png")]
    hrs = [crop_to_multiple(hr, scale) for hr in hrs]
    lrs = [resize_bicubic(hr, 1 / scale) for hr in hrs]
    places = {}
    for image, lr in enumerate(lrs):
        for row in range(lr.shape[0] - 8):
            for col in range(lr.shape[1] - 8):
                places[lr[row : row + 9, col : col + 9].tobytes()] = image, row, col
    lr, hr = crops.batch(5, 12)
    assert lr.shape == (12, 3, 9, 9)
    assert hr.shape == (12, 3, 9 * scale, 9 * scale)
    ways = set()
    lr, hr = ((x.permute(0, 2, 3, 1) * 255).round().byte().numpy() for x in (lr, hr))
    for small, large in zip(lr, hr, strict=True):
        found = [(way, places[x.tobytes()]) for way, x in enumerate(eight_ways(small)) if x.tobytes() in places]
        assert len(found) == 1
        way, (image, row, col) = found[0]
        region = hrs[image][scale * row : scale * (row + 9), scale * col : scale * (col + 9)]
        assert np.array_equal(eight_ways(large)[way], region)
        ways.add(way)
    assert len(ways) > 2  # turned and mirrored


def test_values_lie_in_0_to_1_and_channels_last(folder: Path) -> None:
    for x in Crops(folder, scale=2, crop=8).batch(0, 4):
        assert x.dtype == torch.float32
        assert x.min() >= 0
        assert 0.5 < x.max() <= 1
        assert x.is_contiguous(memory_format=torch.channels_last)


def half_textured(path: Path) -> None:
    image = np.full((96, 192, 3), 90, dtype=np.uint8)
    image[:, 96:] = np.random.default_rng(0).integers(0, 256, (96, 96, 3))
    Image.fromarray(image).save(path)


def test_textured_places_are_preferred(tmp_path: Path) -> None:
    half_textured(tmp_path / "half.png")
    drawn = {}
    for detail in (0.0, 2.0):
        lr, _ = Crops(tmp_path, scale=2, crop=8, detail=detail).batch(0, 200)
        drawn[detail] = float((lr.std(dim=(1, 2, 3)) < 0.01).float().mean())
    assert 0.35 < drawn[0.0] < 0.6  # uniform
    assert drawn[2.0] < 0.02


@pytest.mark.parametrize("detail", [0.0, 0.5, 2.0])
def test_an_image_without_any_detail_is_drawn_from_uniformly(detail: float, tmp_path: Path) -> None:
    flat = np.zeros((128, 128, 3), dtype=np.uint8)
    flat[:2, :2] = 200  # so little that it lies beyond the quantile at which detail is cut off
    Image.fromarray(flat).save(tmp_path / "flat.png")
    crops = Crops(tmp_path, scale=2, crop=8, detail=detail)
    assert np.isfinite(crops._cumulative).all()
    draws = np.searchsorted(crops._cumulative, np.linspace(0, 0.999, 2000))
    assert len(set(draws.tolist())) == len(crops._places)


def test_every_place_can_be_drawn(tmp_path: Path) -> None:
    """The table has one entry for STRIDE x STRIDE places; the last ones are moved back inside."""
    write(tmp_path / "a.png", 26, 30)
    crops = Crops(tmp_path, scale=2, crop=8, detail=0.0)  # lr 13 x 15: rows 0..5, columns 0..7
    assert STRIDE == 4
    lr = crops.pairs[0][0]
    places = {
        way.tobytes(): (row, col)
        for row in range(6)
        for col in range(8)
        for way in eight_ways(lr[row : row + 8, col : col + 8])
    }
    drawn = torch.cat([crops.batch(step, 32)[0] for step in range(20)])
    pixels = (drawn.permute(0, 2, 3, 1) * 255).round().byte().numpy()
    seen = {places[crop.tobytes()] for crop in pixels}
    assert seen == {(row, col) for row in range(6) for col in range(8)}


def test_a_crop_of_the_whole_image(tmp_path: Path) -> None:
    hr = write(tmp_path / "a.png", 17, 16)
    crops = Crops(tmp_path, scale=2, crop=8)
    lr, _ = crops.batch(0, 1)
    expected = resize_bicubic(hr[:16], 1 / 2)
    got = (lr[0].permute(1, 2, 0) * 255).round().byte().numpy()
    assert any(np.array_equal(way, expected) for way in eight_ways(got))


def test_small_images_and_other_files_are_left_out(folder: Path) -> None:
    write(folder / "small.png", 200, 15)
    (folder / "notes.txt").write_text("not an image")
    (folder / "folder").mkdir()
    assert len(Crops(folder, scale=2, crop=8).pairs) == 2
    assert len(Crops(folder, scale=2, crop=7).pairs) == 3


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK"])
def test_every_mode_is_read_as_rgb(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)).convert(mode)
    image.save(tmp_path / ("a.tif" if mode == "CMYK" else "a.PNG"))
    lr, hr = Crops(tmp_path, scale=2, crop=8).batch(0, 2)
    assert (lr.shape[1], hr.shape[1]) == (3, 3)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_a_broken_file_is_named(content: bytes, folder: Path) -> None:
    (folder / "broken.png").write_bytes(content)
    with pytest.raises(ImageError, match=r"broken.png: cannot be read as an image \(.*\); take it out of the folder"):
        Crops(folder, scale=2, crop=8)


def test_a_truncated_file_is_named(folder: Path) -> None:
    (folder / "broken.png").write_bytes((folder / "one.png").read_bytes()[:3000])
    with pytest.raises(ImageError, match=r"broken.png: cannot be read as an image"):
        Crops(folder, scale=2, crop=8)


def test_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"holds no image of at least 32 x 32 pixels"):
        Crops(tmp_path, scale=4, crop=8)
    write(tmp_path / "small.png", 31, 100)
    with pytest.raises(ImageError, match=r"holds no image of at least 32 x 32 pixels"):
        Crops(tmp_path, scale=4, crop=8)


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ImageError, match=f"{name} is no folder"):
        Crops(tmp_path / name, scale=4, crop=8)
