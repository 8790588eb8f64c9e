"""Every figure that the paper prints: it agrees with ours, or is a known misprint."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from mga_wrap.paper import compare as compare_module
from mga_wrap.paper.compare import ACTIVATIONS, PARAMETERS, ComparedFigure, compare
from mga_wrap.paper.counted import paper_cost
from mga_wrap.paper.misprints import MISPRINTS, repeated_scale
from mga_wrap.paper.printed import read_tables

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(shared: Path) -> Path:
    return shared / "paper"


def test_every_printed_figure_agrees_or_is_a_known_misprint(folder: Path) -> None:
    figures = compare(read_tables(folder))
    columns = [figure.column for figure in figures if figure.column != PARAMETERS]
    assert (len(columns), columns.count(ACTIVATIONS)) == (30 + 8 + 60 + 240 + 8, 8)
    wrong = [figure for figure in figures if figure.agrees != (figure.reason is None)]
    assert wrong == []
    assert {figure.key for figure in figures if figure.reason and figure.column != PARAMETERS} == set(MISPRINTS)


def test_misprints_are_what_they_are_said_to_be(folder: Path) -> None:
    figures = {figure.key: figure for figure in compare(read_tables(folder))}
    assert figures["table07", 2, "RFDN", "A", "Manga109"].ours == "226.16"
    for network, k, printed in (("RFDN", 120, "4.13"), ("RCAN", 150, "106.82")):
        figure = figures["table07", 4, network, "M", "Set5"]
        assert figure.printed == printed
        assert f"{paper_cost(network, 4).macs('M', dataset='Set5', scale=4, k=k) / 1e9:.2f}" == printed
    for figure in figures.values():
        if figure.column == PARAMETERS and figure.reason:
            right = repeated_scale(figure.table, figure.network, figure.variant, figure.scale)
            assert right is not None
            unit = 1e6 if figure.printed.endswith("M") else 1e3
            count = paper_cost(figure.network, right).parameters[figure.variant] / unit
            assert ComparedFigure(*figure.key, printed=figure.printed, counted=count, reason=None).agrees, figure


def test_the_size_of_every_image_decides_where_the_mean_does_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ("table07", 2, "RFDN", "B", "Set14")
    assert next(figure for figure in compare(read_tables(folder)) if figure.key == key).ours == "22.78"
    monkeypatch.setattr(compare_module, "SIZES_OF_IMAGES", {})
    near = next(figure for figure in compare(read_tables(folder)) if figure.key == key)
    assert near.counted == pytest.approx(22.78, abs=0.0055)


@pytest.mark.parametrize(
    ("printed", "counted", "agrees"),
    [
        ("1.81", 1.8149, True),
        ("1.81", 1.8151, False),
        ("23K", 23.363, True),
        ("23K", 23.6, False),
        ("1.10M", 1.102, True),
        ("1.1M", 1.16, False),
        ("76.4988", 76.49884, True),
    ],
)
def test_agreeing_means_to_the_last_printed_digit(printed: str, counted: float, agrees: bool) -> None:
    figure = ComparedFigure("table07", 2, "FSRCNN", "B", "Set5", printed=printed, counted=counted, reason=None)
    assert figure.agrees is agrees


def test_some_of_the_tables_are_enough(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "table05.csv", tmp_path)
    figures = compare(read_tables(tmp_path))
    with (tmp_path / "table05.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    for column in ("flops_g", "activations_m"):
        found = [figure.printed for figure in figures if (figure.column == ACTIVATIONS) == (column == "activations_m")]
        assert found == [row[column] for row in rows]
    assert all(figure.agrees for figure in figures)
