"""The options that commands share, what their texts mean, and what can be seen to be wrong before torch is imported."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from mga_wrap.config import HELP, Amount, CutConfig, parse_k
from mga_wrap.errors import ArgumentError, CheckpointError, ImageError
from mga_wrap.names import hub_file, is_repo, list_pretrained

_DEFAULT = CutConfig()
K_HELP = f"{HELP['k']} Default: the network's own."
K = Annotated[str | None, typer.Option("--k", help=K_HELP)]
Scale = Annotated[int | None, typer.Option(help="How many times a side grows: 2, 3 or 4.", show_default="4")]
NETWORK_HELP = (
    "The network: a name, the folder of a saved one, owner/name on the Hub, a file of weights (.pth, .safetensors), or "
    "code of your own (package.module:Factory, file.py:Factory), which is run."
)


def complete_network(incomplete: str) -> list[str]:
    """Names in the package that begin so, for the shell; it knows files by itself."""
    return [name for name in list_pretrained() if name.startswith(incomplete)]


ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NETWORK",
        help=NETWORK_HELP,
        show_default="the best in the package",
        autocompletion=complete_network,
    ),
]
Network = Annotated[str, typer.Argument(metavar="NETWORK", help=NETWORK_HELP, autocompletion=complete_network)]
NetworkArgs = Annotated[
    str | None, typer.Option(metavar="JSON", help="""Keyword arguments of the code, such as '{"blocks": 16}'.""")
]
Weights = Annotated[Path | None, typer.Option(help="Weights of the backbone or the code: .pth or .safetensors.")]
Original = Annotated[
    str | None,
    typer.Option(metavar="NETWORK", help="What a saved network was made of, where that is no backbone of the package."),
]
Base = Annotated[
    str | None,
    typer.Option(
        metavar="NETWORK",
        help="A small network for the whole image; the other refines. Of a saved pair: what it was made with, where "
        "that is no backbone.",
    ),
]
SplitAt = Annotated[str | None, typer.Option(help=HELP["split_at"], show_default=str(_DEFAULT.split_at))]
CoarseTailName = Annotated[str | None, typer.Option(help=HELP["coarse_tail"], show_default=str(_DEFAULT.coarse_tail))]
PatchSide = Annotated[str | None, typer.Option(help=HELP["p"], show_default=str(_DEFAULT.p))]
HaloName = Annotated[str | None, typer.Option(help=HELP["halo"], show_default="2")]
MaxLoss = Annotated[float | None, typer.Option(help=HELP["max_loss"], show_default="the network's own")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps ...")]
EngineName = Annotated[str, typer.Option("--engine", help="torch, openvino, onnxruntime; auto: the fastest here.")]
DTYPE_HELP = "float32, bfloat16 (faster where the processor has it, a little less exact), float16 (GPUs)."

# Of the commands that measure a folder of pictures:
Data = Annotated[Path, typer.Option(help="Folder of HR pictures, or one picture.")]
DataScale = Annotated[int, typer.Option(help="How many times a side is reduced and enlarged again.")]
LowRes = Annotated[
    Path | None,
    typer.Option("--lr", help="Folder of LR pictures (baby.png, babyx4.png). Default: made by exact bicubic."),
]
Crop = Annotated[
    int | None,
    typer.Option(help="Crop HR to multiples of this.", show_default="4 * scale; the scale with --lr"),
]
Csv = Annotated[Path | None, typer.Option(help="Also write every row to this file.")]
Json = Annotated[Path | None, typer.Option(help="Also write rows, means and settings to this file.")]
Markdown = Annotated[Path | None, typer.Option(help="Also write the tables to this file.")]


def read_k(text: str | None, *, words: tuple[str, ...] = ()) -> Amount | None:
    """What a --k means; `words` are those that a command knows beside.

    Raises:
        ArgumentError: there is no such k.
    """
    return text if text is None or text in words else parse_k(text)


def read_size(text: str) -> tuple[int, int]:
    """Width and height of 320x180.

    Raises:
        ArgumentError: text is no such size.
    """
    found = re.fullmatch(r"0*(\d{1,6})[xX×]0*(\d{1,6})", text)
    if found is None or "0" in found.groups():
        raise ArgumentError(f"got --size {text[:40]}; expected WIDTHxHEIGHT, 1 to 999999 pixels each, e.g. 640x360")
    return int(found[1]), int(found[2])


def check_there(*paths: Path | None) -> None:
    """See that files and folders are there; whether they are the right ones is seen by those who read them.

    Raises:
        ImageError: one is not.
    """
    for path in paths:
        if path is not None and not _is_there(path):
            raise ImageError(f"cannot read {path}: there is no such file; check the path")


def check_any_there(paths: list[Path]) -> None:
    """Like `check_there`, for a command that goes on with the others."""
    if not any(_is_there(path) for path in paths):
        check_there(*paths)


def check_outputs(*paths: Path | None) -> None:
    """See that what is to become a file has the name of one, before anything is measured for it.

    Raises:
        ArgumentError: it is empty, or that of a folder.
    """
    for path in paths:
        if path is not None and (path.name in ("", "..") or os.path.isdir(path)):
            raise ArgumentError(f"got the folder {path} for an output; expected the name of a file")


def read_network_args(text: str | None) -> dict[str, Any]:
    """What a --network-args means: a JSON object.

    Raises:
        ArgumentError: text is something else.
    """
    if text is None:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArgumentError(f"got --network-args {text[:60]!r}, no JSON: {error}; {_AS_JSON}") from error
    if not isinstance(found, dict):
        raise ArgumentError(f"got --network-args {text[:60]!r}, which names no values; {_AS_JSON}")
    return found


_AS_JSON = """expected a JSON object, such as '{"blocks": 16}'"""


def check_network(*networks: str | None, weights: Path | None = None) -> None:
    """See that networks are there that are named by a path; which names there are is not known here.

    Raises:
        CheckpointError: a file or folder is not.
        ArgumentError: code in a file that is not.
    """
    for network in networks:
        if network is None or os.path.exists(network) or hub_file(network):
            continue
        code = re.fullmatch(r"(.+\.py):[\w.]+", network)
        if code is not None:
            if not os.path.exists(code[1]):
                raise ArgumentError(f"got {code[1]}; there is no such file: expected file.py:Factory")
        elif Path(network).suffix in (".pth", ".pt", ".ckpt", ".safetensors"):
            raise CheckpointError(f"{network} cannot be read: there is no such file; check the path")
        elif Path(network).name != network and not is_repo(network):
            raise CheckpointError(
                f"{network} is no folder; expected one that save_pretrained wrote, a network's name, a file or code"
            )
    if weights is not None and not _is_there(weights):
        raise CheckpointError(f"{weights} cannot be read: there is no such file; check the path")


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:  # a name that is too long, a folder that may not be entered: told when it is read
        return not isinstance(error, FileNotFoundError)
    return True
