"""What `bench` measured, for people and for files: tables, sentences, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

from rich.markup import escape
from rich.table import Table

from mga_wrap.bench.benchmark import Bench, BenchRow
from mga_wrap.bench.entries import BEST
from mga_wrap.bench.timing import PARTS

Column = tuple[str, Callable[[BenchRow], str]]


def named(row: BenchRow) -> str:
    """What was run, the share with it."""
    return f"{row.name}, share {row.share:g}" if row.share else row.name


def _besides(row: BenchRow) -> str:
    """The share of the time that is spent on neither of the two networks."""
    return f"{1 - (row.parts['base'] + row.parts['refine']) / sum(row.parts.values()):.1%}"


_ROWS: tuple[Column, ...] = (
    ("", named),
    ("format", lambda row: row.form),
    ("/ as run", lambda row: f"{row.over_as_run:.2f}"),
    ("/ original", lambda row: f"{row.over_best:.2f}"),
    ("seconds", lambda row: f"{row.seconds:.3f} ± {row.spread:.3f}"),
    ("GMACs", lambda row: f"{row.macs / 1e9:.1f}"),
    ("GMACs/s", lambda row: f"{row.macs_per_second / 1e9:.0f}"),
    ("of product", lambda row: f"{row.of_machine:.0%}"),
    ("MiB", lambda row: "" if row.memory is None else f"{row.memory / 2**20:.0f}"),
)
_PARTS: tuple[Column, ...] = (
    ("milliseconds", named),
    *((part, lambda row, part=part: f"{row.parts[part] * 1e3:.1f}") for part in PARTS),
    ("besides base and refine", _besides),
)


def tables(result: Bench) -> tuple[Table, Table]:
    """The rows, and the parts of those that have some, to be printed by rich."""
    return (
        _table(_ROWS, result.rows, title=result.title),
        _table(_PARTS, [row for row in result.rows if row.parts], title="the accelerated network by part"),
    )


def verdict(result: Bench) -> list[str]:
    """In words: how much faster or slower, and where it breaks even; then what could not be measured."""
    lines = []
    best = result.row(BEST)
    for row in result.rows:
        if not row.share:
            continue
        how = "faster than" if row.over_best < 1 else "SLOWER than"
        lines.append(
            f"share {row.share:g}: {row.over_best:.2f} of the time of the original in the same format, so it is {how} "
            f"that; {row.over_as_run:.2f} of the original as it runs."
        )
    lines.append(f"The format alone ({best.form}) takes the original to {best.over_as_run:.2f} of its time as it runs.")
    lines.append(_break_even(result))
    return [*lines, *(f"note: {note}" for note in result.notes)]


def _break_even(result: Bench) -> str:
    told = (
        f"Base-Net and mask predictor take {result.fixed:.2f} of the original's time, refining everything would take "
        f"{result.each:.2f}"
    )
    if result.break_even is None:
        return f"{told}: it never breaks even. Cut earlier, or try coarse_tail='light'."
    if result.break_even > 1:
        return f"{told}: it is faster at every share."
    return f"{told}: it breaks even at a share of {result.break_even:.2f}."


def markdown(result: Bench) -> str:
    """The tables and the sentences as Markdown."""
    parts = [row for row in result.rows if row.parts]
    lines = "\n".join(f"* {line}" for line in verdict(result))
    return f"{result.title}\n\n{_markdown(_ROWS, result.rows)}\n\n{_markdown(_PARTS, parts)}\n\n{lines}\n"


def csv_text(result: Bench) -> str:
    """A line a row, every figure in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    fields = (
        "name",
        "form",
        "share",
        "over_as_run",
        "over_best",
        "seconds",
        "spread",
        "macs",
        "of_machine",
        "memory",
    )
    writer.writerow([*fields, *(f"{part}_seconds" for part in PARTS)])
    for row in result.rows:
        writer.writerow([*(getattr(row, field) for field in fields), *(row.parts.get(part, "") for part in PARTS)])
    return text.getvalue()


def json_text(result: Bench) -> str:
    """The fields of `Bench` by name."""
    return json.dumps(asdict(result), indent=2) + "\n"


def _table(columns: Sequence[Column], rows: Sequence[BenchRow], *, title: str) -> Table:
    table = Table(title=escape(title), title_justify="left")
    for number, (name, _) in enumerate(columns):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(escape(cell(row)) for _, cell in columns))
    return table


def _markdown(columns: Sequence[Column], rows: Sequence[BenchRow]) -> str:
    head = [
        " | ".join(name for name, _ in columns),
        " | ".join("---" if n == 0 else "---:" for n in range(len(columns))),
    ]
    return "\n".join(f"| {line} |" for line in (*head, *(" | ".join(cell(row) for _, cell in columns) for row in rows)))
