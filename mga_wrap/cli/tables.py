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
        from mga_wrap.paper.compare import compare
        from mga_wrap.paper.counted import paper_cost
        from mga_wrap.paper.printed import networks_of, read_tables
        from mga_wrap.paper.render import render

        rows = read_tables(folder)
        with progress_bar() as progress:
            for network, scale in progress.track(networks_of(rows), description="counting"):
                paper_cost(network, scale)
        figures = compare(rows)
        for part in render(figures):
            Console().print(part, highlight=False, soft_wrap=isinstance(part, str))
    if not all(figure.agrees or figure.reason for figure in figures):
        raise typer.Exit(1)
