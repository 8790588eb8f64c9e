"""What the commands share: their common options, and one line for an error instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mga_wrap.errors import ArgumentError, MGAError

if TYPE_CHECKING:
    from mga_wrap.nets.mga import MGANet

K_HELP = "How much to refine: patches (100), a share of them (0.25), base, all or dense. Default: the network's own."
Scale = Annotated[int | None, typer.Option(help="How many times a side grows: 2, 3 or 4.", show_default="4")]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model", help="A pretrained network or the folder of a saved one.", show_default="the best in the package"
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")]
DTYPE_HELP = "float32, bfloat16 (faster where the processor has it, a little less exact), float16 (GPUs)."


def find_network(model: str | None, scale: int | None, device: str) -> MGANet:
    """The network that the options name, on its device."""
    from mga_wrap.infer.networks import network_for

    return cast("MGANet", network_for(model, scale=scale, device=device))  # what from_pretrained gives


def progress_bar() -> Progress:
    """A bar on stderr, where that is a terminal."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    # A summary that goes to a file must not be drawn into the bar on the terminal.
    return Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal, redirect_stdout=sys.stdout.isatty()
    )


@contextmanager
def told() -> Iterator[None]:
    """One line for an error instead of a traceback; 2 for a wrong command line, 1 for anything else."""
    try:
        yield
    except MGAError as error:
        say_error(error)
        raise typer.Exit(2 if isinstance(error, ArgumentError) else 1) from error


def say_error(error: BaseException, *, about: Path | None = None) -> None:
    """Print one line on stderr."""
    text = " ".join(str(error).split()) or type(error).__name__
    prefix = f"{about}: " if about is not None and str(about) not in text else ""
    print(f"error: {prefix}{text}", file=sys.stderr)
