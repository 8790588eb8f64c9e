"""The network that the options name."""

from __future__ import annotations

from typing import cast

from mga_wrap.infer.networks import network_for
from mga_wrap.nets.mga import MGANet


def find_network(model: str | None, *, scale: int | None, device: str) -> MGANet:
    """The network by its name or folder, or the best in the package for a scale, on its device."""
    return cast(MGANet, network_for(model, scale=scale, device=device))  # what from_pretrained gives
