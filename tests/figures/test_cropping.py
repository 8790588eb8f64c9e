"""Crops: where the score is largest, inside the picture."""

from __future__ import annotations

import numpy as np
import pytest

from mga_wrap.errors import ArgumentError
from mga_wrap.figures.cropping import Crop, check_crop_inside, cut_out, neediest_crop


def test_the_neediest_crop_lies_where_the_score_is_largest() -> None:
    score = np.zeros((50, 75), dtype=np.float32)
    score[20:30, 40:55] = 1
    assert neediest_crop(score, side=16, size=(800, 1200), crop=(160, 240)) == (320, 640, 160, 240)
    assert neediest_crop(score[:1, :1], side=16, size=(9, 5), crop=(160, 240)) == (0, 0, 9, 5)


def test_a_crop_is_cut_out_of_the_picture() -> None:
    picture = np.arange(6 * 7 * 3).reshape(6, 7, 3)
    assert np.array_equal(cut_out(picture, (1, 2, 3, 4)), picture[1:4, 2:6])


@pytest.mark.parametrize("crop", [(-1, 0, 2, 2), (0, -1, 2, 2), (0, 0, 0, 2), (5, 0, 2, 2), (0, 6, 2, 2)])
def test_a_crop_that_is_not_inside_is_refused(crop: Crop) -> None:
    check_crop_inside((0, 0, 6, 7), (6, 7, 3))
    with pytest.raises(ArgumentError, match=r"expected \(top, left, height, width\) inside a picture of 7 x 6"):
        check_crop_inside(crop, (6, 7, 3))
