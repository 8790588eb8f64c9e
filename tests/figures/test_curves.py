"""Curves as files: what is on them, and what is told before anything is measured."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from mga_wrap.errors import ArgumentError, MGAError
from mga_wrap.figures.curves import check_plot, plot_curves
from mga_wrap.measure.rows import Row


def rows(*, timed: bool = True) -> list[Row]:
    return [
        Row(
            name,
            None if k == "original" else k,
            p=p,
            original=k == "original",
            psnr_y=30 + cost,
            ssim_y=0.9,
            share=cost / 4,
            macs=int(1e9 * cost),
            macs_paper=1,
            seconds=0.1 * cost if timed else None,
        )
        for name in ("a.png", "b.png")
        for k, p, cost in ((0, None, 1), (60, 8, 2), (240, 4, 2.5), (120, 4, 2.2), ("original", None, 4))
    ]


needs_matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is missing")


@needs_matplotlib
@pytest.mark.parametrize("timed", [True, False])
def test_curves_are_drawn_as_png_and_svg(timed: bool, tmp_path: Path) -> None:
    for suffix in ("png", "svg"):
        plot_curves(rows(timed=timed), tmp_path / f"a.{suffix}", title="Set5 x4")
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == (1540 if timed else 860)
        assert np.asarray(image.convert("L")).min() < 60
    words = set(ElementTree.parse(tmp_path / "a.svg").getroot().itertext())
    assert {"PSNR-Y (dB)", "GMACs an image", "M, p = 4", "M, p = 8", "B", "original", "240", "Set5 x4"} <= words
    assert ("seconds an image" in words) == timed


@needs_matplotlib
def test_the_same_rows_give_the_same_drawing(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        plot_curves(rows(), tmp_path / name, title="x")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@needs_matplotlib
def test_rows_without_costs_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="got rows without MACs and seconds"):
        plot_curves([Row("a.png", None, psnr_y=1, ssim_y=1)], tmp_path / "a.png", title="x")


def test_what_a_plot_lacks_is_told_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match=r"got the plot a\.gif; expected one of \.png, \.svg, \.pdf"):
        check_plot(Path("a.gif"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MGAError, match=r"needs matplotlib, which is not installed; pip install 'mga-wrap\[plots\]'"):
        check_plot(Path("a.png"))
