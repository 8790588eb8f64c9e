"""The tables of a benchmark: which columns, which rows, and what is left out."""

from __future__ import annotations

from dataclasses import replace

from mga_wrap.bench.bench_tables import tables_of
from mga_wrap.bench.row import BenchRow

ORIGINAL = BenchRow(
    name="original",
    format="contiguous float32",
    share=None,
    over_as_it_runs=1.0,
    over_best_format=2.0,
    seconds=2.0,
    spread=0.25,
    parts={},
    macs=28_200_000_000,
    of_product=0.5,
    memory=None,
)
PARTS = {"base": 1.0, "mask": 0.1, "select": 0.2, "refine": 0.6, "paste": 0.1}
ACCELERATED = replace(ORIGINAL, name="accelerated", share=0.25, parts=PARTS)


def test_seconds_arithmetic_and_parts_are_tables_of_their_own() -> None:
    seconds, arithmetic, parts = tables_of([ORIGINAL, ACCELERATED], title="PAN")
    assert (seconds.title, seconds.columns) == ("PAN", ["", "seconds", "/ as it runs", "/ best format"])
    assert seconds.lines[0] == ["original", "2.000 ± 0.250", "1.00", "2.00"]
    assert arithmetic.lines[1] == ["accelerated, share 0.25", "contiguous float32", "28.2", "14", "50%"]
    assert parts.columns == ["milliseconds", *PARTS, "overhead"]
    assert parts.lines == [["accelerated, share 0.25", "1000", "100.0", "200.0", "600.0", "100.0", "20.0%"]]


def test_memory_has_a_column_where_it_was_measured() -> None:
    seconds, *_ = tables_of([ORIGINAL, replace(ACCELERATED, memory=3 * 2**30)], title="PAN")
    assert seconds.columns[-1] == "MiB"
    assert [line[-1] for line in seconds.lines] == ["", "3,072"]


def test_each_is_one_table_of_80_columns_at_most() -> None:
    large = replace(ACCELERATED, format="channels_last bfloat16", seconds=12.345, memory=3 * 2**30)
    for grid in tables_of([ORIGINAL, large], title="PAN"):
        assert len(grid.for_terminal(80)) == 1
        assert max(map(len, grid.as_text(80).splitlines())) <= 80
