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

from mga_wrap.infer.images import open_whole


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

    def for_terminal(self) -> Table:
        """A rich table; the first column is flush left, the others are numbers."""
        table = Table(title=escape(self.title), caption=escape("\n".join(self.notes)) or None, caption_justify="left")
        for number, column in enumerate(self.columns):
            how: Any = {"justify": "right"} if number else {"no_wrap": True}
            table.add_column(escape(column), overflow="fold", **how)  # never an ellipsis in place of a figure
        for number, line in enumerate(self.lines):
            if self.last and number == len(self.lines) - self.last:
                table.add_section()
            table.add_row(*(escape(cell) for cell in line))
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
