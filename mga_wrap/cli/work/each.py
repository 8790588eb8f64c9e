"""The loop over pictures: a bar, and one line for whatever fails at one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mga_wrap.cli.failures import say_error
from mga_wrap.errors import MGAError
from mga_wrap.pictures.files import hush_pillow

Item = TypeVar("Item")


def each_picture(
    items: Sequence[Item], work: Callable[[Item], None], *, source: Callable[[Item], Path], doing: str
) -> int:
    """Work on every picture; returns how many failed. Each failure is told in one line, and the others go on.

    Args:
        items: what stands for a picture each.
        work: what is done with one.
        source: the file that an error is about.
        doing: shown beside the bar.
    """
    hush_pillow()
    failures = 0
    with progress_bar() as progress:
        for item in progress.track(items, description=doing):
            try:
                work(item)
            except BrokenPipeError:  # nobody reads what is printed: the others would fail the same way
                raise
            except (MGAError, MemoryError, OSError, RuntimeError) as error:
                failures += 1
                say_error(error, about=source(item))
    return failures


def progress_bar() -> Progress:
    """A bar on stderr, where that is a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    # A summary that goes to a file must not be drawn into the bar on the terminal.
    return Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal, redirect_stdout=sys.stdout.isatty()
    )
