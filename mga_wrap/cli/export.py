"""`mga-wrap export`: a network as a file for another program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import (
    Base,
    K,
    NetworkArgs,
    Original,
    Scale,
    Weights,
    check_network,
    check_outputs,
    read_k,
    read_network_args,
    read_size,
)
from mga_wrap.errors import ArgumentError

SUFFIXES = (".onnx", ".xml", ".pt2")
"""Those of `mga_wrap.exporting`, which takes seconds to import."""


@command("export")
def export(
    network: Annotated[str, typer.Argument(metavar="NETWORK", help="As in upscale --model.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A file .onnx, .xml (OpenVINO) or .pt2 (torch.export).")],
    network_args: NetworkArgs = None,
    weights: Weights = None,
    original: Original = None,
    base: Base = None,
    scale: Scale = None,
    k: K = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT, for that size alone.", show_default="any")] = None,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Compare with the network before it ends.")] = True,
) -> dict[str, Any]:
    """Write a network as ONNX, OpenVINO IR or torch.export: one input, one output, how much it refines baked in."""
    check_network(network, original, base, weights=weights)
    check_outputs(out)
    if out.suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"got {out}; expected the name of a file that ends in {', '.join(SUFFIXES)}")
    return {
        "network_args": read_network_args(network_args),
        "k": read_k(k),
        "size": None if size is None else read_size(size),
    }
