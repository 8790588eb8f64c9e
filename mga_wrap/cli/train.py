"""`mga-wrap train`: a training by its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import check_there


@command("train")
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file, see docs/training.md.")],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the file, e.g. accelerate.p=8."),
    ] = None,
) -> None:
    """Train an accelerated network; killed, it goes on where it was when started again."""
    check_there(config)
