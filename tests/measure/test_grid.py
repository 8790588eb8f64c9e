"""Tables as text, and curves as files."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from mga_wrap.errors import ArgumentError, ImageError, MGAError
from mga_wrap.figures.curves import check_plot, plot
from mga_wrap.measure.eval_tables import mean_grid, quality_grid, record
from mga_wrap.measure.evaluate import Row
from mga_wrap.measure.grid import Grid, write_csv, write_json, write_markdown

GRID = Grid("a [b]", ["", "x|y"], [["one", "1.0"], ["mean", "2.0"]], last=1, notes=["So it is."])


def rows(*, timed: bool = True) -> list[Row]:
    return [
        Row(
            name,
            k,
            p=p,
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


def test_a_grid_is_a_table_on_the_terminal_and_in_markdown() -> None:
    console = Console(width=60, record=True, file=io.StringIO())
    (drawn,) = GRID.for_terminal(60)
    console.print(drawn)
    text = console.export_text()
    assert all(word in text for word in ("a [b]", "x|y", "mean", "So it is."))
    assert GRID.as_markdown() == (
        "### a [b]\n\n|  | x\\|y |\n| --- | ---: |\n| one | 1.0 |\n| mean | 2.0 |\n\nSo it is.\n"
    )


@pytest.mark.parametrize("width", [40, 60, 200])
def test_a_wide_grid_is_cut_into_tables_that_fit(width: int) -> None:
    grid = Grid("wide", ["picture", *(f"k = {k}" for k in range(7))], [["a.png", *["30.123 / 0.9000"] * 7]] * 2)
    console = Console(width=width, record=True, file=io.StringIO())
    tables = grid.for_terminal(width)
    for drawn in tables:
        console.print(drawn)
    lines = console.export_text().splitlines()
    assert sum(line.count("30.123 / 0.9000") for line in lines) == 14
    assert all(f"k = {k}" in "".join(lines) for k in range(7))
    assert max(map(len, lines)) <= width
    assert [drawn.title for drawn in tables] == ["wide"] + [None] * (len(tables) - 1)
    assert len(tables) == {40: 7, 60: 4, 200: 1}[width]


def test_files_hold_what_the_tables_say(tmp_path: Path) -> None:
    records = [{"k": 0.25, "psnr": 30.1234567, "macs": 2.6e9, "p": None}, {"k": "all", "psnr": 1.0, "macs": 3, "p": 4}]
    write_csv(records, tmp_path / "a.csv")
    found = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert found[0] == {"k": "0.25", "psnr": "30.123457", "macs": "2600000000", "p": ""}
    assert found[1]["k"] == "all"
    write_json({"rows": [{"psnr": float("inf")}, (1, 2.5)]}, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == {"rows": [{"psnr": "inf"}, [1, 2.5]]}
    write_markdown([GRID, GRID], tmp_path / "a.md")
    assert (tmp_path / "a.md").read_text() == GRID.as_markdown() + "\n" + GRID.as_markdown()
    with pytest.raises(ImageError, match=r"cannot write .*: a folder of that name"):
        write_csv(records, tmp_path)


def test_the_tables_of_an_evaluation() -> None:
    grid = quality_grid(rows(), title="Set")
    assert grid.columns == ["picture", "k = 0", "k = 60, p = 8", "k = 240, p = 4", "k = 120, p = 4", "original"]
    assert [line[0] for line in grid.lines] == ["a.png", "b.png", "mean"]
    assert grid.lines[2][2] == "32.000 / 0.9000"
    averages = mean_grid(rows(timed=False), title="Set")
    # Nothing was timed, nor compared in RGB.
    assert averages.columns == [
        "",
        "PSNR-Y",
        "SSIM-Y",
        "refined",
        "GMACs",
        "of the original",
    ]  # nothing was timed, nor compared in RGB
    assert averages.lines[0] == ["k = 0 (B)", "31.000", "0.9000", "25.0%", "1.000", "0.25"]
    assert [line[0] for line in averages.lines[1:3]] == ["k = 60, p = 8 (M)", "k = 240, p = 4 (M)"]
    assert averages.lines[4][0] == "original"
    assert "means over 2 pictures" in averages.title
    assert list(record(rows()[0]))[:5] == ["picture", "k", "p", "variant", "psnr_y"]


# -------------------------------------------------------------------------------------------------------------- curves
needs_matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is missing")


@needs_matplotlib
@pytest.mark.parametrize("timed", [True, False])
def test_curves_are_drawn_as_png_and_svg(timed: bool, tmp_path: Path) -> None:
    for suffix in ("png", "svg"):
        plot(rows(timed=timed), tmp_path / f"a.{suffix}", title="Set5 x4")
    with Image.open(tmp_path / "a.png") as image:
        assert image.width == (1540 if timed else 860)
        assert np.asarray(image.convert("L")).min() < 60
    words = set(ElementTree.parse(tmp_path / "a.svg").getroot().itertext())
    assert {"PSNR-Y (dB)", "GMACs an image", "M, p = 4", "M, p = 8", "B", "original", "240", "Set5 x4"} <= words
    assert ("seconds an image" in words) == timed


@needs_matplotlib
def test_the_same_rows_give_the_same_drawing(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        plot(rows(), tmp_path / name, title="x")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


@needs_matplotlib
def test_rows_without_costs_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="got rows without MACs and seconds"):
        plot([Row("a.png", None, psnr_y=1, ssim_y=1)], tmp_path / "a.png", title="x")


def test_what_a_plot_lacks_is_told_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match=r"got the plot a\.gif; expected one of \.png, \.svg, \.pdf"):
        check_plot(Path("a.gif"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MGAError, match=r"needs matplotlib, which is not installed; pip install 'mga-wrap\[plots\]'"):
        check_plot(Path("a.png"))
