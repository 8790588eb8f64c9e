"""`mga-wrap inspect`: where a network can be cut, or the parts of one that has been."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from mga_wrap.cli.app import app
from mga_wrap.cli.shared import Scale, find_network, told
from mga_wrap.errors import ArgumentError

if TYPE_CHECKING:
    from mga_wrap.nets.mga import MGANet


@app.command()
def inspect(
    name: Annotated[str, typer.Argument(metavar="NAME|PATH", help="A backbone, a pretrained network or its folder.")],
    scale: Scale = None,
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
        _print_parts(name, find_network(name, scale, "cpu"))


def _print_parts(name: str, net: MGANet) -> None:
    from mga_wrap.measure.cost import count_parameters

    width, height = 320, 180
    macs = net.macs(height, width)
    typer.echo(f"{name}: x{net.scale}, p={net.p}, halo={net.halo}, k={net.k}")
    table = Table()
    table.add_column("part")
    table.add_column("parameters", justify="right")
    table.add_column(f"MACs of {width} x {height} (million)", justify="right")
    for part in ("base", "mask", "refine"):
        table.add_row(part, f"{count_parameters(getattr(net, part)):,}", f"{macs[part] / 1e6:,.1f}")
    table.add_section()
    table.add_row("total", f"{count_parameters(net):,}", f"{macs['total'] / 1e6:,.1f}")
    Console().print(table)
