"""`mga-wrap train`: a training by its configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from mga_wrap.cli.app import app
from mga_wrap.cli.shared import told


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file, see docs/training.md.")],
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a value of the file, e.g. accelerate.p=8."),
    ] = None,
) -> None:
    """Train an accelerated network; killed, it goes on where it was when started again."""
    with told():
        from mga_wrap.train.build import build_trainer
        from mga_wrap.train.yaml_config import read_config

        trainer = build_trainer(read_config(config, changes=change or ()))
        trainer.fit()
        if os.environ.get("RANK", "0") == "0":  # of several processes one answers
            typer.echo(trainer.output_dir / "last")
