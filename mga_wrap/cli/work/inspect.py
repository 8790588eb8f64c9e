"""What `mga-wrap inspect` does."""

from __future__ import annotations

import os

from rich.console import Console
from rich.table import Table
from torch import nn

from mga_wrap.api import inspect as anatomy_of
from mga_wrap.backbones.registry import create_backbone, list_backbones
from mga_wrap.cli.work.network import find_network
from mga_wrap.cut.original import original_of
from mga_wrap.errors import ArgumentError
from mga_wrap.hub import list_pretrained
from mga_wrap.measure.costs import Cost, cost_table
from mga_wrap.nets.mga import PARTS, MGANet


def inspect(name: str, scale: int | None, size: tuple[int, int]) -> None:
    """Print the anatomy of a backbone, or the parts of an accelerated network."""
    if name in list_backbones():
        print(anatomy_of(create_backbone(name, scale=4 if scale is None else scale)))
        return
    if name not in list_pretrained() and not os.path.isdir(name):
        known = f"backbones {', '.join(list_backbones())}; pretrained {', '.join(list_pretrained()) or '(none)'}"
        raise ArgumentError(f"got {name}; expected the folder of a saved network, or one of these: {known}")
    _print_parts(name, find_network(name, scale=scale, device="cpu"), size)


def _print_parts(name: str, net: MGANet, size: tuple[int, int]) -> None:
    width, height = size
    table = cost_table(net, height, width, original=_original(net))
    print(f"{name}: x{net.scale}, p={net.p}, halo={net.halo}, k={net.k}")
    print(f"an image of {width} x {height}: {table.refined} of {table.patches} patches refined")
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


def _original(net: MGANet) -> nn.Module | None:
    try:
        return original_of(net)
    except ArgumentError:  # it holds none
        return None
