"""Tables that people read: on the terminal, as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from mga_wrap.pictures.files import open_whole


@dataclass(frozen=True)
class Grid:
    """A table of texts."""

    title: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]
    last: int = 0
    """Lines at the end that are set apart: means, totals."""
    notes: Sequence[str] = field(default_factory=tuple)
    """Sentences under the table."""

    def for_terminal(self, width: int) -> list[Table]:
        """Rich tables no wider than the terminal: columns that do not fit go into another one.

        The first column is flush left and stands in each; the others are numbers.
        """
        parts = self._parts(width)
        tables = [self._table(columns, first=part == 0) for part, columns in enumerate(parts)]
        if self.notes:
            tables[-1].caption, tables[-1].caption_justify = escape("\n".join(self.notes)), "left"
        return tables

    def _parts(self, width: int) -> list[list[int]]:
        """The numbers of the columns of each table."""
        cells = [[line[number] for line in self.lines] for number in range(len(self.columns))]
        sides = [
            3 + max(len(text) for text in (*column, *heading.split(), ""))
            for column, heading in zip(cells, self.columns, strict=True)
        ]
        parts: list[list[int]] = [[]]
        for number in range(1, len(sides)):
            taken = 1 + sides[0] + sum(sides[column] for column in parts[-1])
            if parts[-1] and taken + sides[number] > width:
                parts.append([])
            parts[-1].append(number)
        return parts

    def _table(self, columns: Sequence[int], *, first: bool) -> Table:
        table = Table(title=escape(self.title) if first else None)
        table.add_column(escape(self.columns[0]), no_wrap=True)
        for number in columns:
            table.add_column(escape(self.columns[number]), justify="right", overflow="fold")
        for number, line in enumerate(self.lines):
            if self.last and number == len(self.lines) - self.last:
                table.add_section()
            table.add_row(*(escape(line[column]) for column in (0, *columns)))
        return table

    def as_markdown(self) -> str:
        """A heading, a table, and the notes."""
        rule = ["---"] + ["---:"] * (len(self.columns) - 1)
        rows = ["| " + " | ".join(_cell(cell) for cell in line) + " |" for line in (self.columns, rule, *self.lines)]
        parts = [f"### {self.title}", "\n".join(rows), *self.notes]
        return "\n\n".join(parts) + "\n"


def write_markdown(grids: Iterable[Grid], path: Path) -> None:
    """All tables into one file, which appears when it is complete.

    Raises:
        ImageError: it cannot be written.
    """
    _write("\n".join(grid.as_markdown() for grid in grids), path)


def write_csv(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A line for each record, columns as in the first; None is empty, numbers have six digits after the point.

    Raises:
        ImageError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(records[0].keys())
    writer.writerows([_plain(name, value) for name, value in record.items()] for record in records)
    _write(text.getvalue(), path)


def write_json(document: Mapping[str, Any], path: Path) -> None:
    """One JSON object; an infinite PSNR becomes the string "inf", which JSON has no number for.

    Raises:
        ImageError: it cannot be written.
    """
    _write(json.dumps(_finite(document), indent=2) + "\n", path)


def number(value: float | None, digits: int) -> str:
    """A number for a table; nothing where there is none."""
    return "" if value is None else f"{value:,.{digits}f}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, float) and name not in ("k", "macs", "macs_paper"):
        return f"{value:.6f}"
    return f"{value:.0f}" if isinstance(value, float) and name != "k" else value


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _write(text: str, path: Path) -> None:
    with open_whole(path) as handle:
        handle.write(text.encode())
