"""`mga-wrap mask-accuracy`: how well the predicted mask chooses the patches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import (
    Base,
    Crop,
    Csv,
    Data,
    DataScale,
    Device,
    Json,
    LowRes,
    Markdown,
    ModelName,
    NetworkArgs,
    Original,
    Weights,
    check_network,
    check_outputs,
    check_there,
    read_network_args,
)
from mga_wrap.errors import ArgumentError


@command("mask-accuracy")
def mask_accuracy(
    data: Data,
    scale: DataScale,
    model: ModelName = None,
    network_args: NetworkArgs = None,
    weights: Weights = None,
    original: Original = None,
    base: Base = None,
    k: Annotated[
        list[int] | None, typer.Option(help="Patches that are chosen; several.", show_default="200, 400 ... 1400")
    ] = None,
    lr: LowRes = None,
    crop: Crop = None,
    paper: Annotated[Path | None, typer.Option(help="The paper's Table 1 (table01.csv), to be shown beside.")] = None,
    csv: Csv = None,
    json: Json = None,
    markdown: Markdown = None,
    device: Device = "auto",
) -> dict[str, Any]:
    """Compare the predicted error mask with the true one: how many of the top k patches are the same (Table 1)."""
    check_there(data, lr, paper)
    check_network(model, original, base, weights=weights)
    check_outputs(csv, json, markdown)
    if k and min(k) < 1:
        raise ArgumentError(f"got k={min(k)}; expected a number of patches, 1 or more")
    return {"network_args": read_network_args(network_args)}
