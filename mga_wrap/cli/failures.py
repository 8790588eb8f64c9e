"""Errors as people see them: one line on stderr, and an exit code."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from mga_wrap.errors import ArgumentError, MGAError, UnfittedWarning

_LONGEST = 1000
"""Characters of an error that are shown: an option may have been given any number of them."""


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End the command at an error, told in one line instead of a traceback.

    The exit code is 2 for a command line that makes no sense, 1 for anything else: our own errors, those of the file
    system, and too little memory. Whatever else is raised is a mistake of this package and keeps its traceback.
    """
    try:
        with _warnings_in_a_line():
            yield
    except BrokenPipeError:  # whoever reads the output has seen enough; typer ends quietly
        raise
    except (MGAError, OSError, MemoryError) as error:
        say_error(error)
        raise typer.Exit(2 if isinstance(error, ArgumentError) else 1) from error


@contextmanager
def _warnings_in_a_line() -> Iterator[None]:
    """That a network was never fitted is a note; any other warning is shown as Python shows it."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
            if issubclass(category, UnfittedWarning):
                print("note:", " ".join(str(message).split()), file=sys.stderr)
            else:
                usual(message, category, *rest, **more)

        warnings.showwarning = show
        warnings.simplefilter("always", UnfittedWarning)
        warnings.filterwarnings("ignore", message=".*TorchScript archive")  # it is told again in an error
        yield


def say_error(error: BaseException, *, about: Path | None = None) -> None:
    """Print one line on stderr, which begins with the file that it is about unless the error names it."""
    text = str(error) or type(error).__name__
    if about is not None and str(about) not in text:
        text = f"{about}: {text}"
    line = " ".join(line.strip() for line in text.splitlines())
    print("error:", line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ...", file=sys.stderr)
