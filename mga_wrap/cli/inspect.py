"""`mga-wrap inspect`: where a network can be cut, or the parts of one that has been."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import (
    Base,
    Network,
    NetworkArgs,
    Original,
    Scale,
    Weights,
    check_network,
    read_network_args,
    read_size,
)


@command("inspect")
def inspect(
    network: Network,
    network_args: NetworkArgs = None,
    weights: Weights = None,
    original: Original = None,
    base: Base = None,
    scale: Scale = None,
    size: Annotated[
        str, typer.Option(help="Of the lr image that a saved network is counted for, WIDTHxHEIGHT in pixels.")
    ] = "320x180",
) -> dict[str, Any]:
    """Show where a network can be cut, or the parts of one that has been."""
    check_network(network, original, base, weights=weights)
    return {"network_args": read_network_args(network_args), "size": read_size(size)}
