"""How well a mask chooses, a picture at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys.plain import build

import mga_wrap as mga
from mga_wrap.errors import ArgumentError
from mga_wrap.measure.error_mask import agreement, true_mask
from mga_wrap.measure.mask_rows import MaskRow, mask_means, mask_rows
from mga_wrap.measure.rows import MEAN
from mga_wrap.pictures import Picture


@pytest.fixture(scope="module")
def net() -> mga.MGANet:
    return mga.accelerate(build("LongSkip", 2), p=4).eval()


def test_a_row_is_the_agreement_at_its_k(net: mga.MGANet) -> None:
    rgb = np.random.default_rng(0).random((17, 13, 3), dtype=np.float32)
    found = mask_rows(net, Picture(rgb), ks=[3, 400], name="a.png")
    lr = torch.from_numpy(rgb).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = agreement(net.trace(lr).score[0], true_mask(net, lr)[0], k=3)
    assert (found[0].picture, found[0].asked, found[0].k, found[0].both) == ("a.png", 3, 3, expected.both)
    assert (found[0].accuracy, found[0].chance) == (expected.accuracy, 3 / 20)
    assert (found[1].asked, found[1].k, found[1].patches, found[1].accuracy) == (400, 20, 20, 1.0)
    with pytest.raises(ArgumentError, match="got k=0; expected at least 1 patch"):
        mask_rows(net, Picture(rgb), ks=[0], name="a.png")


def test_means_are_by_the_k_that_was_asked_for() -> None:
    rows = [MaskRow("a.png", 9, 9, 30, 6, 6 / 9, 0.3), MaskRow("b.png", 9, 5, 5, 5, 1.0, 1.0)]
    (mean,) = mask_means(rows)
    assert (mean.picture, mean.asked, mean.k, mean.patches, mean.both) == (MEAN, 9, 7, 17.5, 5.5)
    assert mean.accuracy == pytest.approx((6 / 9 + 1) / 2)
