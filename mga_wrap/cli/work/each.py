"""The loop over pictures: a bar, and one line for whatever fails at one of them."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mga_wrap.cli.failures import say_error
from mga_wrap.errors import MGAError
from mga_wrap.pictures.files import hush_pillow

Item = TypeVar("Item")
Result = TypeVar("Result")
Rest = Callable[[], str]
"""What is left to be done of a picture; returns a line to print."""


def each_picture(
    items: Sequence[Item],
    work: Callable[[Item], Rest | None],
    *,
    source: Callable[[Item], Path],
    doing: str,
    beside: int = 1,
) -> int:
    """Work on every picture; returns how many failed. Each failure is told in one line, and the others go on.

    Args:
        items: what stands for a picture each.
        work: what is done with one. What it returns is done too, beside the work on the next ones: to compress a
            picture for its file takes as long as a fast network takes to enlarge it.
        source: the file that an error is about.
        doing: shown beside the bar.
        beside: pictures that may be left behind at once; each is held whole.
    """
    hush_pillow()
    failures = 0
    with progress_bar() as progress, ThreadPoolExecutor(max_workers=beside) as pool:
        bar = progress.add_task(doing, total=len(items))
        waiting: deque[tuple[Path, Future[str]]] = deque()

        def finish(*, keep: int) -> int:
            """Wait for the first ones, until so many are left; returns how many of them failed."""
            failed = 0
            while len(waiting) > keep:
                about, rest = waiting.popleft()
                line, done = _told(rest.result, about)
                if line is not None:
                    print(line, flush=True)  # not typer.echo: it would write over the bar
                failed += not done
                progress.advance(bar)
            return failed

        for item in items:
            rest, done = _told(partial(work, item), source(item))
            failures += finish(keep=beside - 1)
            if rest is not None:
                waiting.append((source(item), pool.submit(rest)))
            else:
                failures += not done
                progress.advance(bar)
        failures += finish(keep=0)
    return failures


class ReadAhead(Generic[Result]):
    """Reads the next file while one is worked on: a GPU that does the work would wait for it.

    Args:
        paths: the files, in the order in which they are asked for.
        read: returns what is in one.
        pool: what reads.
    """

    def __init__(self, paths: Sequence[Path], read: Callable[[Path], Result], pool: ThreadPoolExecutor) -> None:
        self._left, self._read, self._pool = deque(paths), read, pool
        self._next: Future[Result] | None = None

    def __call__(self) -> Result:
        """What is in the next file, or the error of reading it."""
        now = self._next or self._begin()
        self._next = self._begin() if self._left else None
        return now.result()

    def _begin(self) -> Future[Result]:
        return self._pool.submit(self._read, self._left.popleft())


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
