"""Training images: read as RGB, reduced exactly or paired by name; what cannot be used is left out and told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from toys.trainings import noise

import mga_wrap as mga
from mga_wrap.pictures.bicubic import crop_to_multiple, resize_bicubic
from mga_wrap.train.data import Data, Images, read_images
from mga_wrap.train.validate import Validator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "hr"
    folder.mkdir()
    noise(folder / "one.png", 61, 90)
    noise(folder / "two.png", 75, 50, seed=1)
    return folder


def read(data: Data, *, scale: int = 2, smallest: int = 8, **options: object) -> Images:
    return read_images(data, scale=scale, smallest=smallest, **{"channels": 3, "taught": False, **options})


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_hr_is_reduced_by_the_exact_bicubic(scale: int, folder: Path) -> None:
    for pair, name in zip(read(Data(hr=folder), scale=scale).pairs, ("one.png", "two.png"), strict=True):
        hr = crop_to_multiple(np.asarray(Image.open(folder / name)), scale)
        assert pair.name == name
        assert np.array_equal(pair.hr, hr)
        assert np.array_equal(pair.lr, resize_bicubic(hr, 1 / scale))


def test_folders_may_be_text(folder: Path) -> None:
    assert Data(hr=str(folder), lr=str(folder)) == Data(hr=folder, lr=folder)


def test_paired_folders_belong_together_by_name(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "lr").mkdir()
    small = noise(tmp_path / "lr/onex2.png", 30, 45, seed=5)
    noise(tmp_path / "lr/two.png", 40, 25, seed=6)  # 75 rows are no 80
    noise(tmp_path / "lr/three.png", 40, 25, seed=6)
    images = read(Data(hr=folder, lr=tmp_path / "lr"))
    (pair,) = images.pairs
    assert np.array_equal(pair.lr, small)
    assert pair.hr.shape == (60, 90, 3)
    assert sorted(reason.split(": ", 1)[1] for reason in images.left_out) == [
        "25 x 40 pixels, its HR image 50 x 75; expected 2 times as many a side",
        "there is no HR image of that name",
    ]


def test_where_the_original_teaches_lr_is_enough(folder: Path, tmp_path: Path) -> None:
    (pair, _) = read(Data(lr=folder), taught=True).pairs
    assert pair.hr is None
    assert pair.lr.shape == (61, 90, 3)
    (pair, _) = read(Data(hr=folder), taught=True).pairs  # reduced, then HR is not needed any more
    assert pair.hr is None
    assert pair.lr.shape == (30, 45, 3)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n", None])
def test_broken_and_small_images_are_left_out_and_told(content: bytes | None, folder: Path) -> None:
    noise(folder / "small.png", 200, 15)
    (folder / "notes.txt").write_text("not an image")
    (folder / "folder").mkdir()
    truncated = (folder / "one.png").read_bytes()[:3000]
    (folder / "broken.png").write_bytes(truncated if content is None else content)
    images = read(Data(hr=folder))
    assert [pair.name for pair in images.pairs] == ["one.png", "two.png"]
    broken, small = images.left_out
    assert "broken.png" in broken
    assert small.endswith("small.png: 7 x 100 lr pixels; expected at least 8 x 8")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK", "I;16"])
def test_every_mode_is_read_as_rgb(mode: str, tmp_path: Path) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((40, 40), 65535, dtype=np.uint16))
    else:
        image = Image.fromarray(np.full((40, 40, 3), 255, dtype=np.uint8)).convert(mode)
    image.save(tmp_path / ("a.tif" if mode == "CMYK" else "a.PNG"))
    (pair,) = read(Data(hr=tmp_path)).pairs
    assert pair.lr.shape == (20, 20, 3)
    assert pair.lr.min() >= 254  # white stays white


def test_a_network_of_one_channel_gets_luma(folder: Path) -> None:
    pair = read(Data(hr=folder), channels=1).pairs[0]
    assert pair.hr.shape == (60, 90, 1)
    expected = np.asarray(Image.open(folder / "one.png").convert("L"))[:60]
    assert np.abs(pair.hr[..., 0].astype(int) - expected).max() <= 1


def test_a_limit_reads_the_first(folder: Path) -> None:
    assert [pair.name for pair in read(Data(hr=folder), limit=1).pairs] == ["one.png"]


def test_a_folder_without_a_usable_image(tmp_path: Path) -> None:
    with pytest.raises(mga.ImageError, match=r"is a folder without images \(0 other files"):
        read(Data(hr=tmp_path))
    noise(tmp_path / "small.png", 31, 100)
    expected = r"holds no image that can be used, of at least 8 x 8 lr pixels \(x4: 32 x 32 hr .*: 25 x 7"
    with pytest.raises(mga.ImageError, match=expected):
        read(Data(hr=tmp_path), scale=4)
    noise(tmp_path / "small.png", 1, 100)
    with pytest.raises(mga.ImageError, match="of 100 x 1 pixels nothing is left at 1/4"):
        read(Data(hr=tmp_path), scale=4)


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_is_no_folder(name: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for data in (Data(hr=tmp_path / name), Data(hr=folder, lr=tmp_path / name)):
        with pytest.raises(mga.ImageError, match=f"{name} is no folder; expected one with images"):
            read(data)


def test_folders_that_are_not_enough(folder: Path) -> None:
    with pytest.raises(mga.ArgumentError, match=r"got no images: name a folder of HR images \(hr\)"):
        read(Data())
    with pytest.raises(mga.ArgumentError, match=r"got LR images alone .*or use target='original'"):
        read(Data(lr=folder))


@pytest.mark.parametrize("options", [{"detail": -1.0}, {"workers": -1}])
def test_values_out_of_range(options: dict[str, float]) -> None:
    (name,) = options
    with pytest.raises(mga.ArgumentError, match=f"got {name}=-1.*; expected 0"):
        Data(**options)


def test_pictures_to_validate_on_may_be_lr_alone(folder: Path) -> None:
    assert mga.Validation(lr=str(folder)).lr == folder
    net = mga.accelerate(mga.create_backbone("fsrcnn", scale=2).eval())
    validator = Validator(net, mga.Validation(lr=folder, k=(0, "dense")), taught=True)
    figures = validator(net)
    assert figures["psnr_dense"] == float("inf")
    assert 0 < figures["psnr_0"] < 100
