"""The backbones by name: each registers itself by a decorator, nothing is scanned."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from mga_wrap.errors import ArgumentError, nearest

_BACKBONES: dict[str, type[nn.Module]] = {}
Kind = TypeVar("Kind", bound=type[nn.Module])


def register_backbone(name: str) -> Callable[[Kind], Kind]:
    """Make a network known by name to `create_backbone`, checkpoints, trainings and the command line.

    Args:
        name: small letters, digits and dashes; not taken yet.

    Returns:
        A decorator for a class whose networks are built by ``Class(scale=...)`` and keep it as ``.scale``.

    Raises:
        ArgumentError: the name is taken, or no such name; what is decorated is no class of networks.

    Example:
        >>> import mga_wrap as mga
        >>> from torch import nn
        >>> @mga.register_backbone("tiny")
        ... class Tiny(nn.Sequential):
        ...     def __init__(self, *, scale: int) -> None:
        ...         super().__init__(nn.Conv2d(3, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))
        ...         self.scale = scale
        >>> type(mga.create_backbone("tiny", scale=2)).__name__
        'Tiny'
    """
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ArgumentError(f"got the name {name!r}; expected small letters, digits and dashes")

    def register(kind: Kind) -> Kind:
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise ArgumentError(f"got {kind!r} for the backbone {name!r}; expected a class of nn.Module")
        if _BACKBONES.get(name, kind) is not kind:
            raise ArgumentError(
                f"the backbone {name!r} is {_BACKBONES[name].__qualname__} already; expected a name that is not taken"
            )
        _BACKBONES[name] = kind
        return kind

    return register


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
    if not isinstance(name, str) or name not in _BACKBONES:
        raise ArgumentError(f"got backbone {nearest(name, list_backbones())}")
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
        if type(model) is kind and hasattr(model, "scale"):
            scale: Any = model.scale
            with torch.device("meta"):  # layers without memory, and no random numbers drawn
                default = create_backbone(name, scale=scale)
            if repr(model) == repr(default):  # every layer, with its sizes
                return {"name": name, "scale": scale}
    return None
