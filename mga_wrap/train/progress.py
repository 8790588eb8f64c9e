"""What the user sees of a training: a bar on a terminal, and a line for each row of the log."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from mga_wrap.train.stages import Stage


class Progress:
    """A bar for each stage, with loss, PSNR, images a second and the time left.

    Args:
        stages: of the training.
        shown: False prints nothing (processes other than the main one).
    """

    def __init__(self, stages: Sequence[Stage], *, shown: bool) -> None:
        self._console = Console(stderr=True, quiet=not shown, soft_wrap=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
        )
        bar = shown and self._console.is_terminal
        self._bars = Bars(*columns, console=self._console, disable=not bar, redirect_stdout=sys.stdout.isatty())
        self._tasks = [
            self._bars.add_task(stage.name, total=stage.steps, start=False, figures="", speed="") for stage in stages
        ]
        self._psnr = ""
        self._start = self._stage_start = time.monotonic()
        self._stage, self._images = -1, 0

    @property
    def seconds(self) -> float:
        """Since this run has started."""
        return time.monotonic() - self._start

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def say(self, *lines: str) -> None:
        """Print lines above the bars."""
        for line in lines:
            self._console.print(line, highlight=False, markup=False)

    def update(self, stage: int, step: int, loss: float, *, images: int) -> None:
        """One more step is done."""
        task = self._tasks[stage]
        if stage != self._stage:
            self._stage, self._images, self._stage_start = stage, 0, time.monotonic()
            self._bars.start_task(task)
        self._images += images
        self._bars.update(task, completed=step, figures=f"loss {loss:.4f} {self._psnr}", speed=self._speed())

    def row(self, row: dict[str, Any]) -> None:
        """Print a row of the log."""
        psnr = {name: value for name, value in row.items() if name.startswith("psnr_")}
        self._psnr = " ".join(f"{value:.2f} dB" for value in list(psnr.values())[-1:])
        shown = " ".join(f"{name} {value}" for name, value in psnr.items())
        self.say(
            f"{row['stage']} {row['step']}: loss {row['loss']:.5f} {shown} ({self._speed()}, {row['seconds']:.0f} s)"
        )

    def _speed(self) -> str:
        return f"{self._images / max(time.monotonic() - self._stage_start, 1e-9):.1f} images/s"
