"""What a benchmark says in words, and that its print is the tables and the words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mga_wrap.bench.result import AS_IT_RUNS, BEST_FORMAT, Bench
from mga_wrap.bench.row import BenchRow

ROW = BenchRow(
    name=AS_IT_RUNS,
    format="contiguous float32",
    share=None,
    over_as_it_runs=1.0,
    over_best_format=2.98,
    seconds=1.062,
    spread=0.008,
    parts={},
    macs=28_200_000_000,
    of_product=0.5,
    memory=None,
)
PARTS = {"base": 0.118, "mask": 0.007, "select": 0.001, "refine": 0.037, "paste": 0.005}
RESULT = Bench(
    title="PAN, 320 x 180, cpu",
    rows=(
        ROW,
        replace(ROW, name=BEST_FORMAT, format="channels_last bfloat16", over_as_it_runs=0.34, over_best_format=1.0),
        replace(ROW, name="accelerated", share=0.1, over_as_it_runs=0.16, over_best_format=0.47, parts=PARTS),
    ),
    break_even=0.5,
    before_refining=0.5,
    refining_all=1.0,
    notes=("no memory: " + "it is not known " * 8,),
)


def test_faster_slower_and_the_format_are_told() -> None:
    first, of_format, break_even, note = RESULT.verdict()
    assert first == ("share 0.1: faster, 0.47 of the original in its best format; 0.16 as it runs.")
    assert of_format.startswith("The format alone (channels_last bfloat16) takes the original to 0.34 of its time")
    assert break_even == (
        "Base-Net and mask predictor take 0.50 of the original's time, refining everything would take 1.00: it breaks "
        "even at a share of 0.50."
    )
    assert note.startswith("note: no memory: ")
    slower = replace(RESULT, rows=(*RESULT.rows[:2], replace(RESULT.rows[2], over_best_format=1.2)))
    assert slower.verdict()[0].startswith("share 0.1: SLOWER, 1.20 of the original")


@pytest.mark.parametrize(
    ("break_even", "text"),
    [(None, "it never breaks even. Cut earlier, or try coarse_tail='light'."), (1.8, "it is faster at every share.")],
)
def test_a_break_even_that_is_none_is_told(break_even: float | None, text: str) -> None:
    assert RESULT.verdict()[2] != replace(RESULT, break_even=break_even).verdict()[2]
    assert replace(RESULT, break_even=break_even).verdict()[2].endswith(text)


def test_the_print_holds_tables_and_sentences_in_80_columns() -> None:
    text = str(RESULT)
    assert text.startswith("accelerated, share 0.1, contiguous float32: 1.00x over the fastest that runs")
    assert RESULT.title in text
    assert max(map(len, text.splitlines())) <= 80
    for word in ("1.062 ± 0.008", "channels_last bfloat16", "accelerated, share 0.1", "28.2", "118.0"):
        assert word in text
    together = " ".join(text.split())
    assert all(" ".join(line.split()) in together for line in RESULT.verdict())


def test_a_row_is_found_by_name_and_share() -> None:
    assert RESULT.row("accelerated", 0.1) is RESULT.rows[2]
    assert RESULT.row(BEST_FORMAT) is RESULT.rows[1]
