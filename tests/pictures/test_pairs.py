"""HR and LR pictures: found by their names, read in any mode, refused where they do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.pictures import resize_bicubic
from mga_wrap.pictures.pairs import Pair, as_bytes, check_crop, find_pairs, read_pair


def save(path: Path, height: int, width: int, *, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(height).integers(0, 256, (height, width, 4), dtype=np.uint8)
    Image.fromarray(values, "RGBA").convert(mode).save(path)
    return path


def test_lr_is_made_from_hr_where_none_is_given(tmp_path: Path) -> None:
    save(tmp_path / "a.png", 21, 30)
    (pair,) = find_pairs(tmp_path, scale=4)
    lr, hr = read_pair(pair, scale=4, crop=8)
    assert (pair.name, hr.shape, lr.size) == ("a.png", (16, 24, 3), (6, 4))
    np.testing.assert_array_equal(as_bytes(lr.rgb), resize_bicubic(hr, 1 / 4))


@pytest.mark.parametrize("name", ["a.png", "ax2.png", "a_x2.bmp", "a-x2.png"])
def test_lr_is_found_by_its_name_and_cropped_with_hr(name: str, tmp_path: Path) -> None:
    save(tmp_path / "hr" / "a.png", 21, 31)
    save(tmp_path / "lr" / name, 10, 15)
    save(tmp_path / "lr" / "ax4.png", 5, 7)
    (pair,) = find_pairs(tmp_path / "hr", lr=tmp_path / "lr", scale=2)
    assert pair.lr == tmp_path / "lr" / name
    lr, hr = read_pair(pair, scale=2, crop=2)
    assert (hr.shape, lr.size) == ((20, 30, 3), (15, 10))
    lr, hr = read_pair(pair, scale=2, crop=8)
    assert (hr.shape, lr.size) == ((16, 24, 3), (12, 8))


def test_matlabs_pictures_are_what_would_be_made(shared: Path) -> None:
    folder = shared / "data/test"
    pairs = find_pairs(folder / "Set5", lr=folder / "Set5_LR_matlab/X3", scale=3)
    assert len(pairs) == 5
    given, made = (read_pair(pair, scale=3, crop=3) for pair in (pairs[1], Pair(pairs[1].hr)))
    np.testing.assert_array_equal(given[0].rgb, made[0].rgb)


def test_grey_colour_alpha_and_deep_pictures_go_together(tmp_path: Path) -> None:
    for mode in ("L", "RGB", "RGBA", "LA", "P", "1", "I"):
        if mode != "I":
            save(tmp_path / f"{mode}.png", 16, 16, mode=mode)
    Image.fromarray(np.full((16, 16), 40_000, np.uint16)).save(tmp_path / "deep.png")
    for pair in find_pairs(tmp_path, scale=2):
        lr, hr = read_pair(pair, scale=2, crop=8)
        assert (hr.shape, hr.dtype, lr.rgb.shape) == ((16, 16, 3), np.uint8, (8, 8, 3)), pair.name
        assert lr.alpha is None
    assert hr is not None
    deep = read_pair(Pair(tmp_path / "deep.png"), scale=2, crop=8)[1]
    assert (deep == 156).all()  # 40,000 of 65,535 in 8 bits


def test_a_picture_without_a_partner_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / "hr" / f"{name}.png", 16, 16)
    save(tmp_path / "lr" / "ax4.png", 4, 4)
    text = r"1 of 2 pictures of .* have no LR picture in .*: b\.png; expected names such as b\.png or bx4\.png"
    with pytest.raises(ImageError, match=text):
        find_pairs(tmp_path / "hr", lr=tmp_path / "lr", scale=4)


def test_hr_and_lr_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    pair = Pair(save(tmp_path / "a.png", 16, 20), save(tmp_path / "ax2.png", 8, 9))
    text = r"ax2\.png is 9 x 8 and .*a\.png 20 x 16; for x2 expected an LR picture of 10 x 8: is it of another scale"
    with pytest.raises(ImageError, match=text):
        read_pair(pair, scale=2, crop=2)


def test_a_picture_smaller_than_the_crop_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot measure .*a\.png: got an image of 20 x 7; .* at least 8"):
        read_pair(Pair(save(tmp_path / "a.png", 7, 20)), scale=2, crop=8)


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a folder without images"):
        find_pairs(tmp_path, scale=2)


def test_the_crop_is_the_papers_or_that_of_the_pair() -> None:
    assert (check_crop(None, scale=3), check_crop(None, scale=3, paired=True), check_crop(6, scale=3)) == (12, 3, 6)
    with pytest.raises(ArgumentError, match="got crop=4; expected a multiple of the scale 3"):
        check_crop(4, scale=3)


def test_the_stamp_changes_with_either_file(tmp_path: Path) -> None:
    pair = Pair(save(tmp_path / "a.png", 16, 16), save(tmp_path / "ax2.png", 8, 8))
    before = pair.stamp
    assert pair.stamp == before
    save(tmp_path / "ax2.png", 9, 8)
    assert pair.stamp != before
    assert "a.png is not there" in Pair(tmp_path / "b" / "a.png").stamp
