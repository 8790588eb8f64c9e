"""What a format of exported files is, and what every file says of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.export import ExportedProgram

from mga_wrap.config import Amount
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.patches import grid_size
from mga_wrap.version import __version__

INPUT, OUTPUT = "input", "output"
"""Names of the file's one input and one output."""
Run = Callable[[Tensor], Tensor]
"""lr (B, C, H, W) -> sr, as a file computes it."""


@dataclass(frozen=True)
class Format:
    """How a traced network becomes a file of one kind."""

    name: str
    """As people call it, with its version where it has one."""
    needs: tuple[str, ...]
    """Packages, as they are imported."""
    extras: str
    """Of this package, that bring them."""
    convert: Callable[[ExportedProgram, dict[str, str]], Any]
    """The traced network, and what the file says of itself; may be changed."""
    write: Callable[[Any, tuple[Path, ...]], None]
    """What `convert` returned, into the files."""
    open: Callable[[tuple[Path, ...]], Run]
    """The files, as another program would run them on a CPU."""
    beside: tuple[str, ...] = ()
    """Suffixes of the files that belong to the first."""


def facts_of(
    net: nn.Module, k: Amount | None, smallest: int, size: tuple[int, int] | None, *, scale: int, channels: int
) -> dict[str, str]:
    """What a file says of itself, all as text: scale, channels, smallest size; of an accelerated network k, p, halo.

    Args:
        net: the network.
        k: what is baked in.
        smallest: pixels of a side.
        size: (height, width) that the file takes alone; None: any.
        scale: sides of sr over sides of lr.
        channels: of lr and sr.
    """
    said: dict[str, object] = {
        "mga_wrap": __version__,
        "scale": scale,
        "channels": channels,
        "smallest": smallest,
        "size": "any" if size is None else f"{size[1]}x{size[0]}",
    }
    if isinstance(net, MGANet):
        said |= {"k": k, "share": _share(net, k, size), "p": net.p, "halo": net.halo}
    return {name: str(value) for name, value in said.items()}


def _share(net: MGANet, k: Amount | None, size: tuple[int, int] | None) -> object:
    """Of the patches, that are refined; of a number of them only where the size is fixed."""
    if isinstance(k, float):
        return k
    if k == 0:
        return 0.0
    if not isinstance(k, int):
        return 1.0
    if size is None:
        return "by size"
    return min(1.0, k / patches_of(net, size))


def patches_of(net: MGANet, size: tuple[int, int]) -> int:
    """How many patches an image of (height, width) has."""
    height, width = (length * net.scale // net.geometry.zoom for length in size)
    gh, gw = grid_size(height, width, net.p)
    return gh * gw
