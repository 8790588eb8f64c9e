"""`mga-wrap inspect`: where a network can be cut, or the parts of one that has been."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import Scale, check_model, read_size


@command("inspect")
def inspect(
    name: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A backbone, a pretrained network or its folder.")],
    scale: Scale = None,
    size: Annotated[
        str, typer.Option(help="Of the lr image that a saved network is counted for, WIDTHxHEIGHT in pixels.")
    ] = "320x180",
) -> dict[str, Any]:
    """Show where a network can be cut, or the parts of one that has been."""
    check_model(name)
    return {"size": read_size(size)}
