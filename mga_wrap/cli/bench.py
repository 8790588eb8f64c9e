"""`mga-wrap bench`: seconds of a network before and after acceleration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import (
    DTYPE_HELP,
    Base,
    CoarseTailName,
    Device,
    HaloName,
    Network,
    NetworkArgs,
    Original,
    PatchSide,
    Scale,
    SplitAt,
    Weights,
    check_network,
    check_outputs,
    read_network_args,
    read_size,
)
from mga_wrap.config import CutConfig
from mga_wrap.errors import ArgumentError

MOST_THREADS = 1024
"""torch asks the system for any number, and ends the process where the system has not so many."""


@command("bench")
def bench(
    network: Network,
    network_args: NetworkArgs = None,
    weights: Weights = None,
    original: Original = None,
    base: Base = None,
    scale: Scale = None,
    split_at: SplitAt = None,
    coarse_tail: CoarseTailName = None,
    p: PatchSide = None,
    halo: HaloName = None,
    size: Annotated[str, typer.Option(help="Of the image to enlarge, WIDTHxHEIGHT in pixels.")] = "640x360",
    share: Annotated[
        list[float] | None,
        typer.Option(help="Share of refined patches. May be given several times.", show_default="0.1, 0.25, 0.5"),
    ] = None,
    dtype: Annotated[str | None, typer.Option(help=DTYPE_HELP, show_default="the fastest")] = None,
    threads: Annotated[
        int | None, typer.Option(help="Of torch and the other engines.", show_default="torch's own")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Rounds that count, after one that does not.")] = 5,
    clock: Annotated[
        str, typer.Option(help="wall, or processor on a busy machine: this process's own seconds, for --threads 1.")
    ] = "wall",
    engines: Annotated[
        bool, typer.Option(help="Also run both in onnxruntime and OpenVINO, if installed, and with freed memory kept.")
    ] = True,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Also run the original by torch.compile: a minute to start.")
    ] = False,
    memory: Annotated[bool, typer.Option(help="Also measure memory, in a process for each row.")] = True,
    device: Device = "auto",
    csv: Annotated[Path | None, typer.Option(help="Also write the rows to this file.")] = None,
    json: Annotated[Path | None, typer.Option(help="The same as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="The same as Markdown.")] = None,
) -> dict[str, Any]:
    """Time the accelerated network against the original: as it runs, and in the best memory format and dtype."""
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise ArgumentError(f"got threads={str(threads)[:20]}; expected a whole number from 1 to {MOST_THREADS}")
    check_network(network, original, base, weights=weights)
    check_outputs(csv, json, markdown)
    CutConfig.from_text(split_at=split_at, coarse_tail=coarse_tail, p=p, halo=halo)  # wrong ones are told at once
    return {"network_args": read_network_args(network_args), "size": read_size(size)}
