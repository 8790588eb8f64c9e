"""`mga-wrap eval`: a network on a folder of pictures, by the protocol of the field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import (
    K_HELP,
    Base,
    Crop,
    Csv,
    Data,
    DataScale,
    Device,
    EngineName,
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
    read_k,
    read_network_args,
)
from mga_wrap.config import check_engine


@command("eval")
def evaluate(
    data: Data,
    scale: DataScale,
    model: ModelName = None,
    network_args: NetworkArgs = None,
    weights: Weights = None,
    original: Original = None,
    base: Base = None,
    k: Annotated[list[str] | None, typer.Option(help=K_HELP + " Also: original. May be given several times.")] = None,
    p: Annotated[
        list[int] | None,
        typer.Option(help="Patch side; several for a sweep. A number of patches is scaled: k * p² stays."),
    ] = None,
    variants: Annotated[
        bool, typer.Option("--variants", help="Also B, M, A, D, and the original where the network holds it.")
    ] = False,
    lr: LowRes = None,
    crop: Crop = None,
    rgb: Annotated[bool, typer.Option("--rgb", help="Also compare over all three channels.")] = False,
    repeats: Annotated[int, typer.Option(help="How often each picture is timed; the median counts.", min=1)] = 1,
    csv: Csv = None,
    json: Json = None,
    markdown: Markdown = None,
    plot: Annotated[
        list[Path] | None, typer.Option(help="Also draw PSNR against MACs and seconds: a .png, .svg or .pdf file.")
    ] = None,
    device: Device = "auto",
    engine: EngineName = "torch",
) -> dict[str, Any]:
    """Measure PSNR, SSIM, MACs and seconds: HR is reduced by exact bicubic interpolation and enlarged again."""
    check_engine(engine)
    check_there(data, lr)
    check_network(model, original, base, weights=weights)
    check_outputs(csv, json, markdown, *(plot or ()))
    return {
        "network_args": read_network_args(network_args),
        "k": [read_k(text, words=("original",)) for text in k or ()],
    }
