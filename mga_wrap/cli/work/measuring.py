"""What the commands that measure a folder share: the rows of every picture, and the files they write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from mga_wrap.cli.work.each import each_picture
from mga_wrap.measure.grid import Grid
from mga_wrap.measure.partial import Partial, Record
from mga_wrap.measure.write import write_csv, write_json, write_markdown
from mga_wrap.pictures.pairs import Pair


@dataclass(frozen=True)
class Outputs:
    """The files that are asked for."""

    csv: Path | None
    json: Path | None
    markdown: Path | None
    plots: Sequence[Path] = ()

    @property
    def first(self) -> Path | None:
        """The one beside which unfinished work is kept."""
        return next((path for path in (self.csv, self.json, self.markdown, *self.plots) if path is not None), None)

    def write(self, rows: Sequence[Record], *, document: Mapping[str, Any], grids: Sequence[Grid]) -> None:
        """Print the tables and write the files."""
        console = Console()
        for grid in grids:
            for table in grid.for_terminal(console.width):
                console.print(table)
        if self.csv is not None:
            write_csv(rows, self.csv)
        if self.json is not None:
            write_json(document, self.json)
        if self.markdown is not None:
            write_markdown(grids, self.markdown)


def measured(
    pairs: Sequence[Pair], measure: Callable[[Pair], list[Record]], *, kept: Partial
) -> tuple[list[Record], int]:
    """The rows of every picture, and how many pictures failed. What `kept` has is not measured again."""
    rows: list[Record] = []

    def work(pair: Pair) -> None:
        found = kept.get(pair.stamp)
        if found is None:
            found = measure(pair)
            kept.add(pair.stamp, found)
        rows.extend(found)

    failures = each_picture(pairs, work, source=lambda pair: pair.hr, doing="measuring")
    return rows, failures


def finish(failures: int, *, of: int, kept: Partial) -> None:
    """Forget the unfinished work, and exit with 1 if pictures failed."""
    kept.finish()
    if failures:
        if failures < of:
            typer.echo(f"{failures} of {of} pictures could not be measured; the means are over the others", err=True)
        raise typer.Exit(1)
