"""Pictures side by side: their order, their names, their crops, and what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.figures.panels import side_by_side

GREY = np.full((38, 50, 3), 0.5, dtype=np.float32)


def test_panels_stand_next_to_each_other_in_their_order() -> None:
    red, blue = np.zeros((30, 40, 3), dtype=np.uint8), np.zeros((30, 40, 3), dtype=np.uint8)
    red[..., 0], blue[..., 2] = 200, 200
    sheet = side_by_side({"red": red, "blue": blue})
    assert (sheet.shape, sheet.dtype) == ((36 + 360 + 12, 2 * 480 + 3 * 12, 3), np.uint8)
    assert sheet[200, 12 + 240].tolist() == [200, 0, 0]
    assert sheet[200, 2 * 12 + 480 + 240].tolist() == [0, 0, 200]
    assert sheet[:36, 12:492].min() < 64  # its name in dark ink
    assert sheet[:, :12].min() == 255


def test_a_crop_is_framed_and_enlarged_below() -> None:
    picture = np.zeros((100, 200, 3), dtype=np.uint8)
    picture[20:40, 60:100] = (0, 250, 0)
    plain, sheet = side_by_side({"a": picture}), side_by_side({"a": picture}, crop=(20, 60, 20, 40))
    assert sheet.shape[0] == plain.shape[0] + 12 + 240
    below = sheet[36 + 240 + 12 : -12, 12:492]
    assert (below == (0, 250, 0)).all()
    frame = (sheet == (255, 210, 0)).all(axis=2)
    assert frame[36:276].any()
    assert not frame[276:].any()


def test_wide_pictures_are_reduced_to_the_panel() -> None:
    assert side_by_side({"a": np.zeros((600, 1200, 3), dtype=np.uint8)}).shape == (36 + 240 + 12, 480 + 24, 3)


@pytest.mark.parametrize(
    ("pictures", "crop", "error", "text"),
    [
        ({}, None, ImageError, "expected at least one picture, all of one size"),
        ({"a": GREY, "b": GREY[1:]}, None, ImageError, r"shapes \[\(37, 50, 3\), \(38, 50, 3\)\]"),
        ({"a": GREY}, (30, 0, 9, 9), ArgumentError, "inside a picture of 50 x 38"),
        ({"a": GREY}, (0, 0, 0, 9), ArgumentError, r"got crop \(0, 0, 0, 9\); expected \(top, left, height, width\)"),
    ],
)
def test_a_sheet_that_cannot_be_is_refused(pictures: dict[str, np.ndarray], crop: Any, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        side_by_side(pictures, crop=crop)
