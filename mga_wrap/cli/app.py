"""The application that the commands belong to, and how a command is declared."""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer

from mga_wrap.cli.failures import exit_on_error
from mga_wrap.version import __version__

app = typer.Typer(
    help="Super-resolution that restores globally and refines locally.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Values = dict[str, Any]


def command(name: str) -> Callable[[Callable[..., Values | None]], Callable[..., None]]:
    """Declare a command of that name.

    The decorated function has the options and the help. It is called first: it raises where the options alone show that
    something is wrong, and returns the values of those that it has read from text. Then the function of the same name
    in the file of the same name in ``work/`` is imported and called with all options and these values.
    """

    def declare(declaration: Callable[..., Values | None]) -> Callable[..., None]:
        @functools.wraps(declaration)
        def run(**options: Any) -> None:
            with exit_on_error():
                values = declaration(**options) or {}
                work = work_of(declaration)
                if not gc.isenabled():  # by `mga_wrap.cli.main`
                    gc.freeze()  # what was imported stays: nobody has to look at it again
                    gc.enable()
                work(**{**options, **values})

        app.command(name=name)(run)
        return run

    return declare


def work_of(declaration: Callable[..., Any]) -> Callable[..., None]:
    """The function that does what is declared."""
    room, _, file = declaration.__module__.rpartition(".")
    work: Callable[..., None] = getattr(import_module(f"{room}.work.{file}"), declaration.__name__)
    return work


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mga-wrap {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    pass
