"""`mga-wrap list`: the networks that can be named."""

from __future__ import annotations

from typing import Annotated

import typer

from mga_wrap.cli.app import command


@command("list")
def list_networks(
    hub: Annotated[str | None, typer.Option(metavar="OWNER", help="Also an owner's on the Hub.")] = None,
) -> None:
    """List the networks in the package, those in the Hub's cache, and an owner's on the Hub."""
