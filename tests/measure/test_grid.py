"""A table as text: on the terminal, at any width, and in Markdown."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mga_wrap.measure.grid import Grid, number

GRID = Grid("a [b]", ["", "x|y"], [["one", "1.0"], ["mean", "2.0"]], last=1, notes=["So it is."])


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


@pytest.mark.parametrize("width", [48, 52, 60])
def test_headings_are_wrapped_before_any_figure_is(width: int) -> None:
    """Rich alone makes room by folding the widest column, whatever stands in it."""
    headings = ["", "time over the original", "peak memory", "as often as not"]
    grid = Grid("t", headings, [["a picture", "30.1 ± 0.123", "1,234 MiB", "9"]])
    text = grid.as_text(width)
    assert len(grid.for_terminal(width)) == 1
    assert max(map(len, text.splitlines())) <= width
    (line,) = [line for line in text.splitlines() if "a picture" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == grid.lines[0]
    assert all(word in text for heading in headings for word in heading.split())


def test_text_is_plain_and_as_wide_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = GRID.as_text(60)
    assert text.splitlines()[0] == "a [b]"
    assert text.splitlines()[-1] == "So it is."
    assert "\x1b" not in text


def test_a_number_that_is_not_there_is_empty() -> None:
    assert (number(None, 2), number(1234.567, 2), number(0.0, 0)) == ("", "1,234.57", "0")
