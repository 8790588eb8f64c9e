"""What `mga-wrap distill` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mga_wrap.cli.work.network import Given
from mga_wrap.networks.plain import save_network
from mga_wrap.train.distill import Precision
from mga_wrap.train.distill import distill as distilled


def distill(
    network: str,
    data: Path,
    out: Path,
    minutes: float,
    student: str | None,
    perceptual: bool | None,
    precision: Precision | None,
    network_args: Mapping[str, Any],
    weights: Path | None,
    scale: int | None,
    seed: int,
) -> None:
    """Teach, save; prints what was reached, and the folder."""
    out.mkdir(parents=True, exist_ok=True)  # whatever forbids it is told before the time is over
    model = Given(network, args=network_args, weights=weights).load(scale=scale)
    found = distilled(
        model, data, minutes=minutes, student=student, perceptual=perceptual, precision=precision, seed=seed
    )
    save_network(found.network, out)
    print(found)
    print(out)
