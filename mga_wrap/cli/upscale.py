"""`mga-wrap upscale`: pictures and folders of pictures, enlarged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import (
    DTYPE_HELP,
    Base,
    Device,
    EngineName,
    K,
    MaxLoss,
    ModelName,
    NetworkArgs,
    Original,
    Scale,
    Weights,
    check_any_there,
    check_network,
    read_k,
    read_network_args,
)
from mga_wrap.config import check_engine, check_max_loss


@command("upscale")
def upscale(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Pictures, and folders of pictures.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="A file for one picture (out.png), else a folder for <name>_x4.png."),
    ],
    scale: Scale = None,
    model: ModelName = None,
    network_args: NetworkArgs = None,
    weights: Weights = None,
    original: Original = None,
    base: Base = None,
    k: K = None,
    max_loss: MaxLoss = None,
    mask: Annotated[
        bool, typer.Option("--mask", help="Also write the predicted error, laid over the picture.")
    ] = False,
    device: Device = "auto",
    dtype: Annotated[str | None, typer.Option(help=DTYPE_HELP, show_default="float32")] = None,
    engine: EngineName = "torch",
) -> dict[str, Any]:
    """Enlarge pictures: grey stays grey, transparency stays, 16-bit grey stays 16-bit."""
    check_network(model, original, base, weights=weights)
    amount = read_k(k)
    check_engine(engine)
    if max_loss is not None:
        check_max_loss(max_loss)
    check_any_there(inputs)
    return {"network_args": read_network_args(network_args), "k": amount}
