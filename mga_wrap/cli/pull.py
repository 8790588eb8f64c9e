"""`mga-wrap pull`: an accelerated network from the Hugging Face Hub into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mga_wrap.cli.app import command
from mga_wrap.errors import ArgumentError
from mga_wrap.names import check_repo


@command("pull")
def pull(
    repo: Annotated[str, typer.Argument(metavar="REPO", help="owner/name.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The folder.", show_default="name")] = None,
    revision: Annotated[str | None, typer.Option(help="A branch, a tag or a commit.", show_default="main")] = None,
) -> dict[str, Any]:
    """Download a network, check it, and put its files into a folder."""
    out = Path(check_repo(repo).partition("/")[2]) if out is None else out
    if out.exists() and not out.is_dir():
        raise ArgumentError(f"got the file {out} for an output; expected the name of a folder")
    return {"out": out}
