"""`mga-wrap sheet`: figures that show what was refined and what it brought."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import (
    Base,
    Crop,
    Data,
    DataScale,
    Device,
    EngineName,
    K,
    LowRes,
    ModelName,
    NetworkArgs,
    Original,
    Weights,
    check_network,
    check_there,
    read_k,
    read_network_args,
)
from mga_wrap.config import check_engine


@command("sheet")
def sheet(
    data: Data,
    scale: DataScale,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="A page (.html, pictures inside), or a folder for <name>_sheet.png.")
    ],
    model: ModelName = None,
    network_args: NetworkArgs = None,
    weights: Weights = None,
    original: Original = None,
    base: Base = None,
    k: K = None,
    lr: LowRes = None,
    crop: Crop = None,
    device: Device = "auto",
    engine: EngineName = "torch",
) -> dict[str, Any]:
    """Draw a figure for each picture: the mask, the refined patches, and crops with PSNR and SSIM."""
    check_engine(engine)
    check_there(data, lr)
    check_network(model, original, base, weights=weights)
    return {"network_args": read_network_args(network_args), "k": read_k(k)}
