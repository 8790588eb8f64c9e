"""`mga-wrap train`: a training by its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mga_wrap.cli.app import app
from mga_wrap.cli.shared import told


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file, see docs/training.md.")],
) -> None:
    """Train an accelerated network; killed, it goes on where it was when started again."""
    with told():
        from mga_wrap.train.build import build_trainer
        from mga_wrap.train.config import read_config

        trainer = build_trainer(read_config(config))
        trainer.fit()
        typer.echo(trainer.output_dir / "last")
