"""A table of texts that people read: on the terminal, as plain text and as Markdown."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.table import Table


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
        tables = [self._table(columns, width, first=part == 0) for part, columns in enumerate(parts)]
        if self.notes:
            tables[-1].caption, tables[-1].caption_justify = escape("\n".join(self.notes)), "left"
        return tables

    def as_text(self, width: int = 80) -> str:
        """What `for_terminal` shows, as plain text of this width, whatever the terminal is."""
        text = io.StringIO()
        console = Console(file=text, width=width, force_terminal=False, force_jupyter=False)
        console.print(*self.for_terminal(width), sep="\n")
        return "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())

    def _parts(self, width: int) -> list[list[int]]:
        """The numbers of the columns of each table, the first one left out."""
        parts: list[list[int]] = [[]]
        for number in range(1, len(self.columns)):
            if parts[-1] and self._width([0, *parts[-1], number], wrapped=True) > width:
                parts.append([])
            parts[-1].append(number)
        return parts

    def _width(self, columns: Sequence[int], *, wrapped: bool) -> int:
        """Of a table with these columns, borders included; with headings in one line or wrapped between words."""
        return 1 + sum(3 + self._column_width(number, wrapped=wrapped) for number in columns)

    def _column_width(self, number: int, *, wrapped: bool) -> int:
        heading = self.columns[number]
        words = heading.split() if wrapped else [heading]
        return max(len(text) for text in ("", *words, *(line[number] for line in self.lines)))

    def _table(self, columns: Sequence[int], width: int, *, first: bool) -> Table:
        # Rich would make room by folding figures too; here only headings are, between their words.
        wrapped = self._width([0, *columns], wrapped=False) > width
        table = Table(title=escape(self.title) if first else None, title_justify="left")
        for number in (0, *columns):
            heading = self.columns[number]
            if wrapped:
                heading = textwrap.fill(heading, self._column_width(number, wrapped=True) or 1)
            table.add_column(
                escape(heading), justify="right" if number else "left", overflow="fold", no_wrap=number == 0
            )
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


def number(value: float | None, digits: int) -> str:
    """A number for a table; nothing where there is none."""
    return "" if value is None else f"{value:,.{digits}f}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
