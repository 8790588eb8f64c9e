"""The loop over pictures: a bar, and one line for whatever fails at one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mga_wrap.cli.failures import say_error
from mga_wrap.errors import MGAError
from mga_wrap.pictures.files import hush_pillow

Item = TypeVar("Item")
Result = TypeVar("Result")
Rest = Callable[[], None]
"""What is left to be done of a picture."""


def each_picture(
    items: Sequence[Item], work: Callable[[Item], Rest | None], *, source: Callable[[Item], Path], doing: str
) -> int:
    """Work on every picture; returns how many failed. Each failure is told in one line, and the others go on.

    Args:
        items: what stands for a picture each.
        work: what is done with one. What it returns is done too, beside the work on the next one: to compress a
            picture for its file takes as long as a fast network takes to enlarge it.
        source: the file that an error is about.
        doing: shown beside the bar.
    """
    hush_pillow()
    failures = 0
    with progress_bar() as progress, ThreadPoolExecutor(max_workers=1) as beside:
        bar = progress.add_task(doing, total=len(items))
        waiting: list[tuple[Path, Future[None]]] = []  # one at most: it holds a whole picture

        def finish() -> int:
            """How many of those that wait have failed."""
            finished = [_told(rest.result, about)[1] for about, rest in waiting]
            waiting.clear()
            progress.advance(bar, len(finished))
            return finished.count(False)

        for item in items:
            rest, done = _told(partial(work, item), source(item))
            failures += finish()
            if rest is not None:
                waiting.append((source(item), beside.submit(rest)))
            else:
                failures += not done
                progress.advance(bar)
        failures += finish()
    return failures


def _told(call: Callable[[], Result], about: Path) -> tuple[Result | None, bool]:
    """What a call returns, and whether it did; what is about one picture is told in one line."""
    try:
        return call(), True
    except BrokenPipeError:  # nobody reads what is printed: the others would fail the same way
        raise
    except (MGAError, MemoryError, OSError, RuntimeError) as error:
        say_error(error, about=about)
        return None, False


def progress_bar() -> Progress:
    """A bar on stderr, where that is a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    # A summary that goes to a file must not be drawn into the bar on the terminal.
    return Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal, redirect_stdout=sys.stdout.isatty()
    )
