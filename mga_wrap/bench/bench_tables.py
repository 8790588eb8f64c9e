"""The rows of a benchmark as tables, each narrow enough for 80 columns: seconds, arithmetic, parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mga_wrap.bench.row import BenchRow
from mga_wrap.bench.timing import PARTS
from mga_wrap.measure.grid import Grid, number

Column = tuple[str, Callable[[BenchRow], str]]


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}" if seconds < 1 else f"{seconds * 1e3:.0f}"


_NAME: Column = ("", lambda row: row.label)
_SECONDS: tuple[Column, ...] = (
    _NAME,
    ("seconds", lambda row: f"{row.seconds:.3f} ± {row.spread:.3f}"),
    ("/ as it runs", lambda row: f"{row.over_as_it_runs:.2f}"),
    ("/ best format", lambda row: f"{row.over_best_format:.2f}"),
    ("MiB", lambda row: number(None if row.memory is None else row.memory / 2**20, 0)),
)
_ARITHMETIC: tuple[Column, ...] = (
    _NAME,
    ("format", lambda row: row.format),
    ("GMACs", lambda row: f"{row.macs / 1e9:.1f}"),
    ("GMACs/s", lambda row: f"{row.macs_per_second / 1e9:.0f}"),
    ("of product", lambda row: f"{row.of_product:.0%}"),
)
_PARTS: tuple[Column, ...] = (
    ("milliseconds", _NAME[1]),
    *((part, lambda row, part=part: _milliseconds(row.parts[part])) for part in PARTS),
    ("overhead", lambda row: f"{row.overhead:.1%}"),
)


def tables_of(rows: Sequence[BenchRow], *, title: str) -> list[Grid]:
    """Seconds and memory, what they were spent on, and the parts of the rows that have some."""
    in_parts = [row for row in rows if row.parts]
    return [
        _grid(_SECONDS, rows, title=title),
        _grid(_ARITHMETIC, rows, title="formats, and the rate of multiply-accumulates"),
        _grid(_PARTS, in_parts, title="the accelerated network by part"),
    ]


def _grid(columns: Sequence[Column], rows: Sequence[BenchRow], *, title: str) -> Grid:
    lines = [[cell(row) for _, cell in columns] for row in rows]
    columns_filled = [place for place in range(len(columns)) if place == 0 or any(line[place] for line in lines)]
    names = [columns[place][0] for place in columns_filled]
    return Grid(title, names, [[line[place] for place in columns_filled] for line in lines])
