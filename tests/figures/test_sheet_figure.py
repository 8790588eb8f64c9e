"""Figures: the right place, every panel, nothing cut off; padded features too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toys.plain import build
from toys.sized import build_sized

import mga_wrap as mga
from mga_wrap.engines.sessions import installed_engines
from mga_wrap.errors import ImageError
from mga_wrap.figures.overlays import refined_patches, trace_overlay
from mga_wrap.figures.sheet_figure import sheet_figure
from mga_wrap.figures.sheet_layout import WIDTH
from mga_wrap.measure.error_mask import agreement, true_mask
from mga_wrap.pictures import Picture, psnr, resize_bicubic, ssim


def pair(height: int, width: int, scale: int = 2) -> tuple[Picture, np.ndarray]:
    small = np.random.default_rng(0).integers(0, 256, (-(-height // 4), -(-width // 4), 3)).astype(np.uint8)
    hr = resize_bicubic(small, 4)[:height, :width]
    return Picture(resize_bicubic(hr, 1 / scale).astype(np.float32) / 255), hr


@pytest.mark.parametrize("size", [(300, 200), (60, 400), (26, 26)])
def test_every_panel_is_there_and_crops_are_of_one_place(size: tuple[int, int]) -> None:
    net = mga.accelerate(build("LongSkip", 2), p=4).eval()
    lr, hr = pair(*size)
    drawn = sheet_figure(net, lr, hr, name="a" * 300, k=3)
    assert [panel.name for panel in drawn.pictures] == ["HR", "refined patches", "predicted error", "true error"]
    assert [panel.name for panel in drawn.crops] == ["HR", "bicubic", "coarse", "refined (k = 3)", "original"]
    assert len({panel.image.shape for panel in drawn.crops}) == 1
    crop = drawn.crops[0].image
    places = np.lib.stride_tricks.sliding_window_view(hr, crop.shape)[:, :, 0]
    assert (places == crop).all(axis=(2, 3, 4)).any()
    bicubic = resize_bicubic(np.floor(lr.rgb * 255 + 0.5).astype(np.uint8), 2)
    assert drawn.crops[1].value == f"{psnr(bicubic, hr, border=2):.2f} dB / {ssim(bicubic, hr, border=2):.4f}"
    image = drawn.draw()
    assert (image.shape[1], image.dtype) == (WIDTH, np.uint8)
    for edge in (image[:12], image[-12:], image[:, :12], image[:, -12:]):
        assert (edge == 255).all()  # the title of 300 letters too stays inside


def test_in_the_papers_style_all_patches_stand_in_for_the_original() -> None:
    net = mga.accelerate(mga.create_backbone("fsrcnn", scale=2), style="paper").eval()
    drawn = sheet_figure(net, *pair(48, 40), name="a")
    assert drawn.crops[-1].name == "every patch (k = all)"
    assert drawn.title == "a, x2: 26.7% of 30 patches refined"


def test_the_crop_lies_where_the_score_is_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    net = mga.accelerate(build("LongSkip", 2), p=4).eval()
    score = torch.zeros(1, 50, 60)
    score[:, 30:40, 20:30] = 1
    monkeypatch.setattr(net.mask, "forward", lambda feature, lr, coarse, *, p: score)
    lr, hr = pair(400, 480)
    crop = sheet_figure(net, lr, hr, name="a", k=1).crops[0].image
    assert crop.shape == (80, 80, 3)
    np.testing.assert_array_equal(crop, hr[240:320, 160:240])


def test_a_picture_smaller_than_the_border_is_refused() -> None:
    net = mga.accelerate(build("LongSkip", 2), p=4).eval()
    with pytest.raises(ImageError, match="expected at least 11 x 11 pixels"):
        sheet_figure(net, *pair(12, 12), name="a")


@pytest.mark.parametrize(("name", "grid"), [("PadsToMultiple", (5, 4)), ("Unshuffles", (3, 2))])
def test_a_network_that_pads_or_reduces_its_feature_is_shown_and_measured(name: str, grid: tuple[int, int]) -> None:
    net = mga.accelerate(build_sized(name, 2), p=4).eval()
    lr, hr = pair(34, 26)
    with torch.no_grad():
        image = torch.rand(1, 3, 17, 13)
        trace, mask = net.trace(image, k="all"), true_mask(net, image)
    assert mask.shape == trace.score.shape
    assert agreement(trace.score[0], mask[0], k=3).patches == trace.score[0].numel() >= grid[0] * grid[1]
    assert trace_overlay(trace, net=net).shape == (34, 26, 3)
    assert refined_patches(trace, net=net).tolist() == list(range(grid[0] * grid[1]))
    assert sheet_figure(net, lr, hr, name="a", k=3).draw().shape[1] == WIDTH


@pytest.mark.skipif("onnxruntime" not in installed_engines(), reason="needs onnxruntime")
def test_in_another_engine_it_is_the_same_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MGA_WRAP_CACHE", str(tmp_path))
    net = mga.from_pretrained("fsrcnn-m-x2")
    lr, hr = pair(60, 80)
    one, two = (sheet_figure(net, lr, hr, name="a", k=9, engine=name) for name in ("torch", "onnxruntime"))
    assert one.title == two.title
    for own, other in zip((*one.pictures, *one.crops), (*two.pictures, *two.crops), strict=True):
        assert (own.name, own.value) == (other.name, other.value)
        difference = np.abs(own.image.astype(int) - other.image)
        assert (difference > 1).mean() < 1e-3, own.name
