"""The files of a benchmark: each holds every row."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from mga_wrap.bench.report import csv_text, json_text, markdown
from mga_wrap.bench.result import BEST_FORMAT, Bench
from mga_wrap.bench.row import BenchRow

BEST = BenchRow(
    name=BEST_FORMAT,
    format="channels_last bfloat16",
    share=None,
    over_as_it_runs=0.341,
    over_best_format=1.0,
    seconds=0.356123,
    spread=0.004,
    parts={},
    macs=28_164_000_000,
    of_product=0.36,
    memory=198 * 2**20,
)
PARTS = {"base": 0.118, "mask": 0.007, "select": 0.001, "refine": 0.037, "paste": 0.005}
RESULT = Bench(
    title="PAN, 320 x 180, cpu",
    rows=(BEST, replace(BEST, name="accelerated", share=0.1, over_best_format=0.47, parts=PARTS, memory=None)),
    break_even=0.59,
    before_refining=0.4,
    refining_all=1.0,
    notes=(),
)


def test_csv_holds_every_figure_in_full() -> None:
    best, accelerated = csv.DictReader(io.StringIO(csv_text(RESULT)))
    assert (best["name"], best["format"], best["share"], best["seconds"]) == (BEST_FORMAT, BEST.format, "", "0.356123")
    assert (best["macs"], best["memory"], best["refine_seconds"]) == ("28164000000", str(198 * 2**20), "")
    assert (accelerated["share"], accelerated["refine_seconds"], accelerated["memory"]) == ("0.1", "0.037", "")


def test_json_holds_the_fields_by_name() -> None:
    loaded = json.loads(json_text(RESULT))
    assert (loaded["title"], loaded["break_even"], loaded["before_refining"]) == (RESULT.title, 0.59, 0.4)
    assert [row["parts"] for row in loaded["rows"]] == [{}, PARTS]


@pytest.mark.parametrize("line", RESULT.verdict())
def test_markdown_shows_the_sentences(line: str) -> None:
    assert f"\n* {line}\n" in markdown(RESULT)


def test_markdown_shows_the_tables() -> None:
    text = markdown(RESULT)
    assert f"| {BEST_FORMAT} | 0.356 ± 0.004 | 0.34 | 1.00 | 198 |\n" in text
    assert "| accelerated, share 0.1 | channels_last bfloat16 | 28.2 | 79 | 36% |\n" in text
    assert "| accelerated, share 0.1 | 118.0 | 7.0 | 1.0 | 37.0 | 5.0 | 7.7% |\n" in text
