"""The log of a training: a CSV file without duplicate rows, lines for the reader, and TensorBoard on request."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mga_wrap.errors import ArgumentError, CheckpointError, one_line
from mga_wrap.files import whole_file

LOG = "log.csv"
_RENAMED = {"lr": "rate"}
"""Columns of older logs."""


class Log:
    """Rows of figures, each at a stage and a step.

    A run that was killed and goes on from an older state repeats some steps: their rows are taken out first.

    Args:
        folder: where log.csv lies; the main process alone writes.
        columns: of every row, "stage", "step" and "total_steps" among them.
        order: names of the stages, in their order.
        stage: number of the stage from which the training goes on.
        step: updates that are done in it.
        tensorboard: also write for TensorBoard, into `folder/tensorboard`.

    Raises:
        CheckpointError: the file cannot be read or written, is no log, or one with other columns.
        ArgumentError: TensorBoard is not installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        columns: Sequence[str],
        order: Sequence[str],
        stage: int,
        step: int,
        tensorboard: bool = False,
    ) -> None:
        self.path, self.columns = folder / LOG, list(columns)
        rows = [row for row in _rows(self.path) if _done(row, order, stage, step)]
        if rows and list(rows[0]) != self.columns:
            raise _broken(self.path, f"it has the columns {', '.join(rows[0])}; expected {', '.join(columns)}")
        self.steps = 0 if not rows else int(rows[-1]["total_steps"])
        self._write(rows)
        self._board = _board(folder / "tensorboard", self.steps) if tensorboard else None

    def add(self, row: dict[str, Any]) -> None:
        """Append a row."""
        try:
            with self.path.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, fieldnames=self.columns, lineterminator="\n")
                if not file.tell():
                    writer.writeheader()
                writer.writerow(row)
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be written ({error}); the last state is still there") from error
        if self._board is not None:
            for name, value in row.items():
                if isinstance(value, int | float) and name not in ("step", "total_steps"):
                    self._board.add_scalar(name, value, row["total_steps"])
            self._board.flush()

    def _write(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO()
        if rows:
            writer = csv.DictWriter(text, fieldnames=self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        try:
            with whole_file(self.path) as part:
                part.write_text(text.getvalue(), encoding="utf-8")
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be written ({error}); choose another folder") from error


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a log; a last line that a kill cut off is none."""
    try:
        *lines, cut_off = path.read_text(encoding="utf-8").split("\n")
        header, *rows = [row for row in csv.reader(lines or [cut_off], strict=True) if row] or [[]]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _broken(path, one_line(error)) from error
    if not lines and "stage,step,".startswith(cut_off[:11]):
        return []
    if missing := [name for name in ("stage", "step", "total_steps") if name not in header]:
        raise _broken(path, f"its first line has no {', '.join(missing)}")
    names = [_RENAMED.get(name, name) for name in header]
    for number, row in enumerate(rows, 2):
        if len(row) != len(names) or not all(row[names.index(name)].isdecimal() for name in ("step", "total_steps")):
            raise _broken(path, f"line {number} is no row of it")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _done(row: dict[str, str], order: Sequence[str], stage: int, step: int) -> bool:
    if row["stage"] not in order:
        return False
    number = order.index(row["stage"])
    return number < stage or (number == stage and int(row["step"]) <= step)


def _broken(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(f"{path} cannot be gone on with: {reason}; move it away, or choose another output_dir")


def _board(folder: Path, steps: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ArgumentError("tensorboard is not installed: pip install 'mga-wrap[tensorboard]'") from error
    return SummaryWriter(str(folder), purge_step=steps + 1)
