"""What a benchmark found: its rows, where acceleration breaks even, and how it reads when it is printed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from mga_wrap.bench.bench_tables import tables_of
from mga_wrap.bench.row import BenchRow
from mga_wrap.measure.grid import Grid

AS_IT_RUNS, BEST_FORMAT, COARSE = "original as it runs", "original, best format", "coarse alone"
"""The names of the rows that are always there."""
ACCELERATED = "accelerated"
"""Of the accelerated network in torch; in another engine the row's name says which."""
COMPILED = "torch.compile"
"""The original, where that was asked for."""
RECORDED = ", CUDA graph"
"""What a row's name ends with whose forward was recorded on a GPU and is replayed."""
_PRINTED_WIDTH = 80


@dataclass(frozen=True)
class Bench:
    """What `bench` measured; `print` shows it as tables and sentences of 80 columns."""

    title: str
    """The network, the image, the device."""
    rows: tuple[BenchRow, ...]
    break_even: float | None
    """The share at which the accelerated network takes as long as the original in the best format; above 1 it is
    faster even if every patch is refined; None: Base-Net and mask predictor alone take as long as the original."""
    before_refining: float
    """Seconds of Base-Net and mask predictor over those of the original in the best format."""
    refining_all: float
    """Seconds that refining every patch would take over those of the original in the best format."""
    notes: tuple[str, ...]
    """What could not be measured, and why."""

    def row(self, name: str, share: float | None = None) -> BenchRow:
        """The row of that name and share."""
        return next(row for row in self.rows if row.name == name and row.share == share)

    def tables(self) -> list[Grid]:
        """The rows as tables."""
        return tables_of(self.rows, title=self.title)

    def verdict(self) -> list[str]:
        """In words: how much faster or slower, and where it breaks even; then what could not be measured."""
        best = self.row(BEST_FORMAT)
        return [
            *(_faster_or_slower(row) for row in self.rows if row.share),
            f"The format alone ({best.format}) takes the original to {best.over_as_it_runs:.2f} of its time as it "
            "runs.",
            self._break_even_sentence(),
            *(f"note: {note}" for note in self.notes),
        ]

    def headline(self) -> list[str]:
        """The comparison that counts: at each share, with the fastest that runs the original here."""
        without = [row for row in self.rows if row.share is None]
        lossless = min(without, key=lambda row: row.seconds)
        shares = list(dict.fromkeys(row.share for row in self.rows if row.share))
        fastest = [
            min((row for row in self.rows if row.share == share), key=lambda row: row.seconds) for share in shares
        ]
        return [
            f"{row.label}, {row.format}: {lossless.seconds / row.seconds:.2f}x over the fastest that runs the original "
            f"here ({lossless.name}, {lossless.format}), {1 / row.over_as_it_runs:.2f}x over it as it runs."
            for row in fastest
        ]

    def _break_even_sentence(self) -> str:
        parts = (
            f"Base-Net and mask predictor take {self.before_refining:.2f} of the original's time, refining everything "
            f"would take {self.refining_all:.2f}"
        )
        if self.break_even is None:
            return f"{parts}: it never breaks even. Cut earlier, or try coarse_tail='light'."
        if self.break_even > 1:
            return f"{parts}: it is faster at every share."
        return f"{parts}: it breaks even at a share of {self.break_even:.2f}."

    def __str__(self) -> str:
        tables = [table.as_text(_PRINTED_WIDTH) for table in self.tables()]
        return "\n\n".join([_filled(self.headline()), *tables, _filled(self.verdict())])


def _filled(lines: Sequence[str]) -> str:
    return "\n".join(
        textwrap.fill(line, _PRINTED_WIDTH, subsequent_indent="  ", break_on_hyphens=False) for line in lines
    )


def _faster_or_slower(row: BenchRow) -> str:
    faster_or_slower = "faster" if row.over_best_format < 1 else "SLOWER"
    what = row.label.removeprefix(f"{ACCELERATED}, ")
    return (
        f"{what}: {faster_or_slower}, {row.over_best_format:.2f} of the original in its best format; "
        f"{row.over_as_it_runs:.2f} as it runs."
    )
