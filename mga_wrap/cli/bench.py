"""`mga-wrap bench`: seconds of a network before and after acceleration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import DTYPE_HELP, Device, check_model, check_outputs, check_there, read_size
from mga_wrap.config import HELP, CutConfig
from mga_wrap.errors import ArgumentError

MOST_THREADS = 1024
"""torch asks the system for any number, and ends the process where the system has not so many."""
_DEFAULT = CutConfig()


@command("bench")
def bench(
    model: Annotated[
        str | None, typer.Option(help="A pretrained network or the folder of a saved one; or give --backbone.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="A backbone, to be cut as the next options say.")] = None,
    scale: Annotated[int | None, typer.Option(help="Of the backbone: 2, 3 or 4.", show_default="4")] = None,
    split_at: Annotated[str | None, typer.Option(help=HELP["split_at"], show_default=str(_DEFAULT.split_at))] = None,
    coarse_tail: Annotated[
        str | None, typer.Option(help=HELP["coarse_tail"], show_default=str(_DEFAULT.coarse_tail))
    ] = None,
    p: Annotated[str | None, typer.Option(help=HELP["p"], show_default=str(_DEFAULT.p))] = None,
    halo: Annotated[str | None, typer.Option(help=HELP["halo"], show_default="2")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights of the backbone: .pth or .safetensors.")] = None,
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
        bool, typer.Option(help="Also run the original in onnxruntime and OpenVINO, if installed.")
    ] = True,
    memory: Annotated[bool, typer.Option(help="Also measure memory, in a process for each row.")] = True,
    device: Device = "auto",
    csv: Annotated[Path | None, typer.Option(help="Also write the rows to this file.")] = None,
    json: Annotated[Path | None, typer.Option(help="The same as JSON.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="The same as Markdown.")] = None,
) -> dict[str, Any]:
    """Time the accelerated network against the original: as it runs, and in the best memory format and dtype."""
    if (model is None) == (backbone is None):
        raise ArgumentError("got neither or both of --model and --backbone; expected one of them")
    cut = {"split_at": split_at, "coarse_tail": coarse_tail, "p": p, "halo": halo}
    of_a_backbone = {**cut, "checkpoint": checkpoint, "scale": scale}
    given = [f"--{name.replace('_', '-')}" for name, value in of_a_backbone.items() if value is not None]
    if model is not None and given:
        raise ArgumentError(f"got {', '.join(given)} with --model, which is cut already; leave out, or give --backbone")
    if threads is not None and not 1 <= threads <= MOST_THREADS:
        raise ArgumentError(f"got threads={str(threads)[:20]}; expected a whole number from 1 to {MOST_THREADS}")
    check_there(checkpoint)
    check_model(model)
    check_outputs(csv, json, markdown)
    config = CutConfig.from_text(**cut)
    return {"size": read_size(size), **{name: getattr(config, name) for name in cut}}
