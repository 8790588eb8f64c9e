"""What `mga-wrap export` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mga_wrap.cli.work.network import Given, find_network
from mga_wrap.config import Amount
from mga_wrap.exporting.export import export as write


def export(
    network: str,
    out: Path,
    network_args: dict[str, Any],
    weights: Path | None,
    original: str | None,
    base: str | None,
    scale: int | None,
    k: Amount | None,
    size: tuple[int, int] | None,
    check: bool,
) -> None:
    """Write the file; prints what was written."""
    given = Given(network, args=network_args, weights=weights, original=original, base=base)
    net = find_network(given, scale=scale, device="cpu")
    print(write(net, out, k=k, size=size, check=check))
