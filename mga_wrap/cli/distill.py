"""`mga-wrap distill`: a small network taught by a large one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import (
    Network,
    NetworkArgs,
    Weights,
    check_network,
    check_there,
    read_network_args,
)
from mga_wrap.errors import ArgumentError


@command("distill")
def distill(
    network: Network,
    data: Annotated[Path, typer.Option(help="Folder of pictures of the kind that will be enlarged, or one picture.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the small network.")],
    minutes: Annotated[float, typer.Option(help="About how long; the longer the better.")] = 30.0,
    student: Annotated[
        str | None,
        typer.Option(metavar="NETWORK", help="Where it starts.", show_default="the package's student of the scale"),
    ] = None,
    perceptual: Annotated[
        bool | None,
        typer.Option(
            "--perceptual/--no-perceptual",
            help="Teach colours and sharpness, too.",
            show_default="where the network is further from the pictures than bicubic",
        ),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="no, or bf16: faster where the processor has it.", show_default="no")
    ] = None,
    network_args: NetworkArgs = None,
    weights: Weights = None,
    scale: Annotated[
        int | None, typer.Option(help="Of a backbone: how many times a side grows, 2, 3 or 4.", show_default="4")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of what is held out and drawn.")] = 0,
) -> dict[str, Any]:
    """Teach a small network what a large one makes of your pictures: a base for it, or a network of its own."""
    check_network(network, student, weights=weights)
    check_there(data)
    if not 0 < minutes < float("inf"):
        raise ArgumentError(f"got --minutes {minutes}; expected a number above 0, e.g. 30")
    if precision not in (None, "no", "bf16"):
        raise ArgumentError(f"got --precision {precision}; expected no or bf16")
    if out.exists() and not out.is_dir():
        raise ArgumentError(f"got the file {out} for an output; expected the name of a folder")
    return {"network_args": read_network_args(network_args)}
