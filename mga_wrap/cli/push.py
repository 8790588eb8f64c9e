"""`mga-wrap push`: a saved network to the Hugging Face Hub, with its card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import check_network, check_there
from mga_wrap.errors import ArgumentError
from mga_wrap.names import check_repo


@command("push")
def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a saved network.")],
    repo: Annotated[str, typer.Argument(metavar="REPO", help="owner/name; it is made if it is not there.")],
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Of a new one.", show_default="the owner's default")
    ] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Propose it, commit nothing.")] = False,
    revision: Annotated[str | None, typer.Option(help="The branch.", show_default="main")] = None,
    message: Annotated[str | None, typer.Option(help="Of the commit.")] = None,
    evals: Annotated[
        list[str] | None,
        typer.Option("--eval", metavar="SET=CSV", help="For the card: what mga-wrap eval --csv wrote. Several times."),
    ] = None,
    bench: Annotated[Path | None, typer.Option(help="For the card: what mga-wrap bench --csv wrote.")] = None,
    licence: Annotated[str | None, typer.Option("--license", help="For the card: apache-2.0, mit ...")] = None,
    base_model: Annotated[str | None, typer.Option(help="For the card: the original's repository.")] = None,
    originals: Annotated[
        list[Path] | None,
        typer.Option(
            "--original",
            help="The original's .safetensors file, to lie beside; it is then found by itself. Of a pair: each.",
        ),
    ] = None,
) -> dict[str, Any]:
    """Upload a saved network: config.json, model.safetensors, its card and pictures, and nothing else in the folder.

    Log in by hf auth login, or set HF_TOKEN. A README.md in the folder is the card, unless --eval or --bench is given.
    """
    check_repo(repo)
    check_network(str(folder))
    if not folder.is_dir():
        raise ArgumentError(f"got {folder}, which is no folder; expected one that save_pretrained wrote")
    if base_model is not None:
        check_repo(base_model)
    tables = dict(_named(text) for text in evals or ())
    check_there(*tables.values(), bench, *(originals or ()))
    return {"evals": tables, "originals": originals or []}


def _named(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not name or not path:
        raise ArgumentError(f"got --eval {text[:60]}; expected the set's name and its file: Set5=set5.csv")
    return name, Path(path)
