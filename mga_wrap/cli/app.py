"""The application that the commands belong to."""

from __future__ import annotations

from typing import Annotated

import typer

from mga_wrap.version import __version__

app = typer.Typer(
    help="Super-resolution that restores globally and refines locally.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
