"""The pictures that show what was refined: sizes, places and colours are where they should be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.figures.overlays import mask_overlay, spotlight, trace_overlay
from mga_wrap.nets.mga import MGANet

GREY = np.full((38, 50, 3), 0.5, dtype=np.float32)  # a grid of 3 x 4 patches of 16 pixels, the last ones cut
SCORE = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture(scope="module")
def net() -> MGANet:
    return accelerate(create_backbone("fsrcnn", scale=2), style="paper").eval()


def overlay(**changes: Any) -> np.ndarray:
    options: dict[str, Any] = {"score": SCORE, "index": np.array([11]), "p": 8, "scale": 2} | changes
    return mask_overlay(options.pop("picture", GREY), **options)


def test_an_overlay_has_the_size_of_the_picture_and_brightens_with_the_score() -> None:
    out = overlay(index=None)
    assert (out.shape, out.dtype) == (GREY.shape, np.uint8)
    inner = out[1::16, 1::16].astype(int)  # one pixel a patch
    assert inner.shape[:2] == SCORE.shape
    assert (np.diff(inner[..., 0].ravel())[1:] > 0).all()  # the lowest two are both darker than the 2nd percentile


def test_only_refined_patches_are_outlined() -> None:
    out = overlay(index=np.array([5]))
    white = (out == 255).all(axis=2)
    rows, columns = np.nonzero(white)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (16, 31, 16, 31)
    assert not white[18:30, 18:30].any()
    assert not (overlay(index=None) == 255).all(axis=2).any()


def test_neighbours_share_one_outline() -> None:
    white = (overlay(index=np.array([5, 6])) == 255).all(axis=2)
    assert not white[18:30, 18:46].any()


def test_equal_scores_are_drawn_alike() -> None:
    assert np.unique(overlay(score=np.ones((3, 4)), index=None).reshape(-1, 3), axis=0).shape == (1, 3)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"scale": 4}, ArgumentError, r"score of shape \(3, 4\) .*; expected \(2, 2\): give the enlarged picture"),
        ({"index": np.array([12])}, ArgumentError, "positions 12 to 12; the grid has 12 patches"),
        ({"index": np.array([-1, 3])}, ArgumentError, "positions -1 to 3"),
        ({"picture": GREY[..., 0]}, ImageError, r"shape \(38, 50\); expected a non-empty \(H, W, 3\)"),
    ],
)
def test_an_overlay_that_does_not_fit_is_refused(changes: dict[str, Any], error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        overlay(**changes)


@pytest.mark.parametrize(("k", "outlined"), [(0, False), (2, True), ("all", True), ("dense", True)])
def test_a_trace_is_drawn_for_every_k(k: int | str, outlined: bool, net: MGANet) -> None:
    with torch.no_grad():
        out = trace_overlay(net.trace(torch.full((1, 3, 9, 14), 0.3), k=k), net=net)
    assert out.shape == (18, 28, 3)
    assert (out == 255).all(axis=2).any() == outlined


def test_a_spotlight_leaves_refined_patches_their_colour() -> None:
    picture = np.zeros((38, 50, 3), dtype=np.uint8)
    picture[..., 2] = 150
    out = spotlight(picture, index=np.array([5]), p=8, scale=2)
    assert (out[20:28, 20:28] == (0, 0, 150)).all()
    assert (out[16, 16:32] == (200, 40, 60)).all()
    outside = out[33:, :]
    assert (outside == outside[..., :1]).all()
    assert outside.min() > 150
    with pytest.raises(ArgumentError, match="positions 12 to 12; the grid has 12 patches"):
        spotlight(picture, index=np.array([12]), p=8, scale=2)
