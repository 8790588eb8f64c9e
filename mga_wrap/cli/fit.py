"""`mga-wrap fit`: a network of anybody's, accelerated, fitted and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import (
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
    check_there,
    read_network_args,
)
from mga_wrap.config import HELP, CutConfig, check_max_loss
from mga_wrap.errors import ArgumentError


@command("fit")
def fit(
    network: Network,
    data: Annotated[Path, typer.Option(help="Folder of pictures of the kind that will be enlarged, or one picture.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the accelerated network.")],
    seconds: Annotated[float, typer.Option(help="About how long; more is better, up to some minutes.")] = 60.0,
    network_args: NetworkArgs = None,
    weights: Weights = None,
    original: Original = None,
    base: Base = None,
    scale: Scale = None,
    split_at: SplitAt = None,
    coarse_tail: CoarseTailName = None,
    p: PatchSide = None,
    halo: HaloName = None,
    k: Annotated[str | None, typer.Option("--k", help=HELP["k"], show_default=str(CutConfig().k))] = None,
    max_loss: Annotated[
        float | None, typer.Option(help=HELP["max_loss"], show_default=str(CutConfig().max_loss))
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw of crops.")] = 0,
    device: Device = "auto",
) -> dict[str, Any]:
    """Cut a network, fit what is new in it to the network's own output, and save it: usable in a minute."""
    check_network(network, original, base, weights=weights)
    check_there(data)
    if out.exists() and not out.is_dir():
        raise ArgumentError(f"got the file {out} for an output; expected the name of a folder")
    CutConfig.from_text(split_at=split_at, coarse_tail=coarse_tail, p=p, halo=halo, k=k)  # wrong ones are told at once
    if max_loss is not None:
        check_max_loss(max_loss)
    return {"network_args": read_network_args(network_args)}
