"""What follows from the figures of a row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mga_wrap.bench.row import BenchRow

ROW = BenchRow(
    name="accelerated",
    format="contiguous float32",
    share=0.25,
    over_as_it_runs=0.5,
    over_best_format=0.5,
    seconds=2.0,
    spread=0.1,
    parts={"base": 1.0, "mask": 0.1, "select": 0.2, "refine": 0.6, "paste": 0.1},
    macs=500,
    of_product=0.5,
    memory=None,
)


def test_rate_label_and_what_lies_between_the_networks() -> None:
    assert ROW.macs_per_second == 250
    assert ROW.overhead == pytest.approx(0.4 / 2.0)
    assert ROW.label == "accelerated, share 0.25"
    assert replace(ROW, name="coarse alone", share=0.0).label == "coarse alone"
    assert replace(ROW, name="original", share=None).label == "original"
