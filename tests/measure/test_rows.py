"""Rows: their variant, their means, and what they are in a file."""

from __future__ import annotations

import pytest

from mga_wrap.measure.rows import MEAN, Row, means, record
from mga_wrap.measure.settings import Setting


def test_a_row_says_how_it_was_run() -> None:
    assert Row("a.png", 240, 30.0, 0.9, p=4).setting == Setting(240, 4)
    assert Row("a.png", None, 30.0, 0.9, original=True).setting == Setting(original=True)
    assert [Row("a.png", k, 30.0, 0.9).variant for k in (0, 3, None)] == ["B", "M", ""]


def test_means_keep_settings_apart_and_average_each_figure() -> None:
    rows = [
        Row(name, k, psnr, 0.9, original=original, share=share)
        for name, psnr in (("a.png", 30.0), ("b.png", 32.0))
        for k, original, share in ((1, False, 0.1), (1.0, False, 1.0), (None, True, None), (None, False, None))
    ]
    found = means(rows)
    assert [(repr(row.k), row.original) for row in found] == [
        ("1", False),
        ("1.0", False),
        ("None", True),
        ("None", False),
    ]
    assert {row.picture for row in found} == {MEAN}
    assert {row.psnr_y for row in found} == {31.0}
    assert [row.share for row in found] == pytest.approx([0.1, 1.0, None, None])


def test_a_figure_that_one_picture_lacks_has_no_mean() -> None:
    rows = [Row("a.png", 0, 30.0, 0.9, seconds=1.0), Row("b.png", 0, 31.0, 0.9)]
    assert means(rows)[0].seconds is None


def test_a_record_names_the_original_in_the_column_k() -> None:
    """What files of earlier runs hold, and what the documentation reads."""
    found = record(Row("a.png", None, 30.0, 0.9, original=True, macs=7))
    assert list(found)[:5] == ["picture", "k", "p", "variant", "psnr_y"]
    assert (found["k"], found["p"], found["variant"], found["macs"]) == ("original", None, "original", 7)
    assert "original" not in found
    assert record(Row("a.png", 0.25, 30.0, 0.9))["k"] == 0.25
