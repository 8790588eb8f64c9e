"""What `mga-wrap inspect` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import nn

from mga_wrap.api import inspect as anatomy_of
from mga_wrap.cli.work.network import Given
from mga_wrap.cut.original import original_of
from mga_wrap.errors import ArgumentError
from mga_wrap.measure.costs import Cost, cost_table
from mga_wrap.nets.mga import PARTS, MGANet


def inspect(
    network: str,
    network_args: dict[str, Any],
    weights: Path | None,
    original: str | None,
    base: str | None,
    scale: int | None,
    size: tuple[int, int],
) -> None:
    """Print the anatomy of a network, or the parts of an accelerated one."""
    given = Given(network, args=network_args, weights=weights, original=original, base=base)
    net, small = given.load_two(scale=scale)
    if isinstance(net, MGANet):
        _print_parts(network, net, size)
    else:
        print(anatomy_of(net) if small is None else anatomy_of(net, base=small))


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
