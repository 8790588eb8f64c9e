"""`mga-wrap inspect`: where a network can be cut, or the parts of one that has been."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from mga_wrap.cli.app import app
from mga_wrap.cli.shared import Scale, find_network, told
from mga_wrap.errors import ArgumentError

if TYPE_CHECKING:
    from torch import nn

    from mga_wrap.nets.mga import MGANet


@app.command()
def inspect(
    name: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A backbone, a pretrained network or its folder.")],
    scale: Scale = None,
    size: Annotated[str, typer.Option(help="Width x height of the lr image that a saved network is counted for.")] = (
        "320x180"
    ),
) -> None:
    """Show where a network can be cut, or the parts of one that has been."""
    with told():
        from mga_wrap.api import inspect as anatomy_of
        from mga_wrap.backbones.registry import create_backbone, list_backbones
        from mga_wrap.hub import list_pretrained

        if name in list_backbones():
            typer.echo(anatomy_of(create_backbone(name, scale=4 if scale is None else scale)).render())
            return
        if name not in list_pretrained() and not os.path.isdir(name):
            known = f"backbones {', '.join(list_backbones())}; pretrained {', '.join(list_pretrained()) or '(none)'}"
            raise ArgumentError(f"got {name}; expected the folder of a saved network, or one of these: {known}")
        width, height = _parse_size(size)
        _print_parts(name, find_network(name, scale, "cpu"), height=height, width=width)


def _print_parts(name: str, net: MGANet, *, height: int, width: int) -> None:
    from mga_wrap.cut.original import original_of
    from mga_wrap.measure.costs import Cost, cost_table
    from mga_wrap.nets.mga import PARTS

    try:
        original: nn.Module | None = original_of(net)
    except ArgumentError:  # it holds none
        original = None
    table = cost_table(net, height, width, original=original)
    typer.echo(f"{name}: x{net.scale}, p={net.p}, halo={net.halo}, k={net.k}")
    typer.echo(f"an image of {width} x {height}: {table.refined} of {table.patches} patches refined")
    shown = Table()
    shown.add_column("part")
    for column in ("parameters", "MACs (M)", "paper's FLOPs (M)", "activations (M)"):
        shown.add_column(column, justify="right")

    def add(part: str, cost: Cost) -> None:
        millions = (cost.macs, cost.macs_paper, cost.activations)
        shown.add_row(part, f"{cost.parameters:,}", *(f"{count / 1e6:,.1f}" for count in millions))

    for part in PARTS:
        add(part, getattr(table, part))
    shown.add_section()
    add("total", table.total)
    if table.original is not None:
        add("original", table.original)
    Console().print(shown)


def _parse_size(text: str) -> tuple[int, int]:
    """Width and height of 320x180."""
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None or 0 in (size := (int(found[1]), int(found[2]))):
        raise ArgumentError(f"got the size {text!r}; expected WIDTHxHEIGHT of an lr image, such as 320x180")
    return size
