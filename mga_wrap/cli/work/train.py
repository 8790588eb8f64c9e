"""What `mga-wrap train` does."""

from __future__ import annotations

import os
from pathlib import Path

from mga_wrap.train.build import build_trainer
from mga_wrap.train.yaml_config import read_config


def train(config: Path, change: list[str] | None) -> None:
    """Train by a configuration; prints where the last weights are."""
    trainer = build_trainer(read_config(config, changes=change or ()))
    trainer.fit()
    if os.environ.get("RANK", "0") == "0":  # of several processes one answers
        print(trainer.output_dir / "last")
