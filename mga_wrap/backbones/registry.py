"""The backbones by name: an explicit table, nothing is scanned."""

from __future__ import annotations

import difflib
from typing import Any

import torch
from torch import nn

from mga_wrap.backbones.fsrcnn import FSRCNN
from mga_wrap.backbones.pan import PAN
from mga_wrap.backbones.rcan import RCAN
from mga_wrap.backbones.rfdn import RFDN
from mga_wrap.backbones.srresnet import SRResNet
from mga_wrap.errors import ArgumentError

_BACKBONES: dict[str, type[nn.Module]] = {
    "fsrcnn": FSRCNN,
    "pan": PAN,
    "rcan": RCAN,
    "rfdn": RFDN,
    "srresnet": SRResNet,
}


def list_backbones() -> tuple[str, ...]:
    """Return the names that `create_backbone` knows, sorted."""
    return tuple(sorted(_BACKBONES))


def create_backbone(name: str, *, scale: int) -> nn.Module:
    """Build an untrained network with the options of its published version.

    Args:
        name: one of `list_backbones`.
        scale: how many times a side grows, 2, 3 or 4.

    Returns:
        A network from lr (B, 3, H, W), values in 0..1, to (B, 3, scale * H, scale * W).

    Raises:
        ArgumentError: the name is unknown, or the network does not exist at this scale.
    """
    if name not in _BACKBONES:
        near = difflib.get_close_matches(str(name).lower(), list_backbones(), n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(f"got backbone {name!r}; expected one of {', '.join(list_backbones())}{hint}")
    return _BACKBONES[name](scale=scale)


def describe_backbone(model: nn.Module) -> dict[str, Any] | None:
    """Say how `create_backbone` would build a network like ``model``: the reverse map, without the weights.

    Args:
        model: any network.

    Returns:
        ``{"name": ..., "scale": ...}``, so that ``create_backbone(**description)`` has the layers of ``model``; None
        for a network of another class, of other options (``FSRCNN(scale=4, m=3)``) or with layers exchanged.
    """
    for name, kind in _BACKBONES.items():
        if type(model) is kind:
            scale: Any = model.scale
            with torch.device("meta"):  # layers without memory, and no random numbers drawn
                default = create_backbone(name, scale=scale)
            if repr(model) == repr(default):  # every layer, with its sizes
                return {"name": name, "scale": scale}
    return None
