"""What `mga-wrap tables` does."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console

from mga_wrap.cli.work.each import progress_bar
from mga_wrap.paper.compare import compare
from mga_wrap.paper.counted import paper_cost
from mga_wrap.paper.printed import networks_of, read_tables
from mga_wrap.paper.render import render


def tables(folder: Path) -> None:
    """Print the paper's tables beside what is counted; fails if a figure differs and nobody knows why."""
    rows = read_tables(folder)
    with progress_bar() as progress:
        for network, scale in progress.track(networks_of(rows), description="counting"):
            paper_cost(network, scale)
    figures = compare(rows)
    for part in render(figures):
        Console().print(part, highlight=False, soft_wrap=isinstance(part, str))
    if not all(figure.agrees or figure.reason for figure in figures):
        raise typer.Exit(1)
