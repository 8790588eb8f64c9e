"""`mga-wrap choice`: how good the choice of patches is."""

from __future__ import annotations

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
    MaxLoss,
    ModelName,
    NetworkArgs,
    Original,
    Weights,
    check_network,
    check_outputs,
    check_there,
    read_k,
    read_network_args,
)
from mga_wrap.config import Amount, check_max_loss
from mga_wrap.errors import ArgumentError

DEFAULT_KS: tuple[Amount, ...] = (0, 0.1, 0.2, 0.3)


@command("choice")
def choice(
    data: Data,
    scale: DataScale,
    model: ModelName = None,
    network_args: NetworkArgs = None,
    weights: Weights = None,
    original: Original = None,
    base: Base = None,
    k: Annotated[
        list[str] | None,
        typer.Option(help="Patches, a share of them, or auto; several.", show_default="0, 0.1, 0.2, 0.3"),
    ] = None,
    max_loss: MaxLoss = None,
    lr: LowRes = None,
    crop: Crop = None,
    csv: Csv = None,
    json: Json = None,
    markdown: Markdown = None,
    device: Device = "auto",
) -> dict[str, Any]:
    """Compare the predicted choice of patches with the best: what it loses, and what a perfect score would lose."""
    check_there(data, lr)
    check_network(model, original, base, weights=weights)
    check_outputs(csv, json, markdown)
    ks = [read_k(text) for text in k] if k else list(DEFAULT_KS)
    if "dense" in ks or "all" in ks:
        raise ArgumentError("got --k dense or all, which choose nothing; expected 0, a number, a share or auto")
    if max_loss is not None:
        check_max_loss(max_loss)
    return {"k": ks, "network_args": read_network_args(network_args)}
