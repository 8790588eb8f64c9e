"""What the commands that measure a folder share: their options, the loop over pictures, and the files they write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from mga_wrap.cli.shared import progress_bar, say_error
from mga_wrap.errors import MGAError

if TYPE_CHECKING:
    from mga_wrap.measure.grid import Grid
    from mga_wrap.measure.partial import Partial, Record
    from mga_wrap.pictures.pairs import Pair

Data = Annotated[Path, typer.Option(help="Folder of HR pictures.")]
LowRes = Annotated[
    Path | None,
    typer.Option("--lr", help="Folder of LR pictures (baby.png, babyx4.png). Default: made by exact bicubic."),
]
DataScale = Annotated[int, typer.Option(help="How many times a side is reduced and enlarged again.")]
Crop = Annotated[
    int | None,
    typer.Option(help="Crop HR to multiples of this.", show_default="4 * scale; the scale with --lr"),
]
Csv = Annotated[Path | None, typer.Option(help="Also write every row to this file.")]
Json = Annotated[Path | None, typer.Option(help="Also write rows, means and settings to this file.")]
Markdown = Annotated[Path | None, typer.Option(help="Also write the tables to this file.")]


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
        from mga_wrap.measure.write import write_csv, write_json, write_markdown

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


def each_picture(pairs: Sequence[Pair], work: Callable[[Pair], None], *, doing: str) -> int:
    """Work on every picture; returns how many failed, each of which is told in one line at the end."""
    failures: list[tuple[Pair, BaseException]] = []
    with progress_bar() as progress:
        for pair in progress.track(pairs, description=doing):
            try:
                work(pair)
            except (MGAError, MemoryError) as error:
                failures.append((pair, error))
    for pair, reason in failures:
        say_error(reason, about=pair.hr)
    return len(failures)


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

    return rows, each_picture(pairs, work, doing="measuring")


def finish(failures: int, *, of: int, kept: Partial) -> None:
    """Forget the unfinished work, and exit with 1 if pictures failed."""
    kept.finish()
    if failures:
        if failures < of:
            typer.echo(f"{failures} of {of} pictures could not be measured; the means are over the others", err=True)
        raise typer.Exit(1)
