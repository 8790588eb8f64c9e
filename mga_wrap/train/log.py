"""The log of a training: a CSV file without duplicate rows, lines for the reader, and TensorBoard on request."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from mga_wrap.errors import ArgumentError, CheckpointError
from mga_wrap.files import whole_file

LOG = "log.csv"


class Log:
    """Rows of figures, each at a stage and a step.

    A run that was killed and goes on from an older state repeats some steps: their rows are taken out first.

    Args:
        folder: where log.csv lies; the main process alone writes.
        order: names of the stages, in their order.
        stage: number of the stage from which the training goes on.
        step: updates that are done in it.
        tensorboard: also write for TensorBoard, into `folder/tensorboard`.

    Raises:
        CheckpointError: the file cannot be read or written.
        ArgumentError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, *, order: list[str], stage: int, step: int, tensorboard: bool = False) -> None:
        self.path = folder / LOG
        rows = [row for row in _rows(self.path) if _done(row, order, stage, step)]
        self.steps = 0 if not rows else int(rows[-1]["total_steps"])
        self._write(rows)
        self._board = _board(folder / "tensorboard", self.steps) if tensorboard else None

    def add(self, row: dict[str, Any]) -> None:
        """Append a row; all rows have the same columns."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(row), lineterminator="\n")
        try:
            with self.path.open("a", newline="") as file:
                if not file.tell():
                    writer.writeheader()
                writer.writerow(row)
                file.write(text.getvalue())
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
            writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        try:
            with whole_file(self.path) as part:
                part.write_text(text.getvalue())
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be written ({error}); choose another folder") from error


def _rows(path: Path) -> list[dict[str, str]]:
    """The complete rows of a log; a line that a kill cut off is none."""
    try:
        lines = path.read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); delete it, or choose another folder") from error
    rows = list(csv.DictReader(line for line in lines if line.endswith("\n")))
    return [row for row in rows if None not in row and None not in row.values() and {"stage", "step"} <= row.keys()]


def _done(row: dict[str, str], order: list[str], stage: int, step: int) -> bool:
    if row["stage"] not in order:
        return False
    number = order.index(row["stage"])
    return number < stage or (number == stage and int(row["step"]) <= step)


def _board(folder: Path, steps: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ArgumentError("tensorboard is not installed: pip install 'mga-wrap[tensorboard]'") from error
    return SummaryWriter(str(folder), purge_step=steps + 1)
