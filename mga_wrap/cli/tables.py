"""`mga-wrap tables`: the paper's figures beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mga_wrap.cli.app import app
from mga_wrap.cli.shared import progress_bar, told


@app.command()
def tables(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the paper's tables: table07.csv, ...")],
) -> None:
    """Compare the MACs and parameters that the paper prints with those of the networks here."""
    with told():
        from mga_wrap.paper.costs import paper_cost
        from mga_wrap.paper.tables import compare, needed, render

        with progress_bar() as progress:
            for network, scale in progress.track(needed(folder), description="counting"):
                paper_cost(network, scale)
        lines = compare(folder)
        for part in render(lines):
            Console().print(part, highlight=False, soft_wrap=isinstance(part, str))
    if not all(line.agrees or line.reason for line in lines):
        raise typer.Exit(1)
