"""`mga-wrap tables`: the paper's figures beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mga_wrap.cli.app import command
from mga_wrap.cli.options import check_there


@command("tables")
def tables(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the paper's tables: table07.csv, ...")],
) -> None:
    """Compare the MACs and parameters that the paper prints with those of the networks here."""
    check_there(folder)
