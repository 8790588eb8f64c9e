"""The pictures that show what was refined: sizes, places and colours are where they should be."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.errors import ArgumentError, ImageError
from mga_wrap.figures.overlays import mask_overlay, neediest, side_by_side, spotlight, trace_overlay
from mga_wrap.nets.mga import MGANet
from mga_wrap.pictures.files import IMAGE_SUFFIXES

ROOT = Path(__file__).resolve().parents[2]
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


# -------------------------------------------------------------------------------------------------------- side by side
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


def test_the_neediest_crop_lies_where_the_score_is_largest() -> None:
    score = np.zeros((50, 75), dtype=np.float32)
    score[20:30, 40:55] = 1
    assert neediest(score, side=16, size=(800, 1200), crop=(160, 240)) == (320, 640, 160, 240)
    assert neediest(score[:1, :1], side=16, size=(9, 5), crop=(160, 240)) == (0, 0, 9, 5)


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


# ------------------------------------------------------------------------------------------------------------ the demo
@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", ROOT / "examples" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "REPEATS", 1)
    return module


def test_the_demo_writes_its_pictures_and_prints_its_figures(
    demo: ModuleType, net: MGANet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (18, 12), (10, 200, 30)).save(tmp_path / "photo.png")
    demo.demonstrate(net, image=tmp_path / "photo.png", out=tmp_path / "out", k=0.5)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "photo_x2.png",
        "photo_x2_mask.png",
        "photo_x2_side_by_side.png",
    ]
    said = capsys.readouterr().out
    assert "photo.png: 18 x 12 -> 36 x 24, 53.3% of the patches refined" in said
    for words in (
        "million MACs",
        "seconds (median of 1)",
        "coarse only (k=0)",
        "refined (k=0.5)",
        "every patch (k=all)",
    ):
        assert words in said


def test_the_demo_enlarges_its_photograph(demo: ModuleType, tmp_path: Path) -> None:
    demo.main(["--out", str(tmp_path)])
    with Image.open(tmp_path / "chelsea_x4.png") as image:
        assert image.size == (1200, 800)


def test_every_picture_among_the_examples_has_a_licence() -> None:
    licences = (ROOT / "examples" / "LICENCES.md").read_text()
    pictures = [file for file in (ROOT / "examples").iterdir() if file.suffix in IMAGE_SUFFIXES]
    assert pictures
    assert all(f"| {picture.name} |" in licences for picture in pictures)
