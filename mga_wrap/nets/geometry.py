"""What a cut found out about a network."""

from __future__ import annotations

from dataclasses import dataclass

from mga_wrap.nets.layouts import Crossing
from mga_wrap.nets.patches import Border


@dataclass(frozen=True)
class Geometry:
    """What a cut found out about the network; it never changes."""

    scale: int
    """Sides of sr over sides of lr."""
    channels: int
    """Channels of lr and sr."""
    zoom: int
    """Pixels of sr a side for one of the feature."""
    border: Border
    """What windows do at the image's border."""
    trim: int
    """Ring of feature pixels still around the Refine-Net's output: the halo, or 0 if the network takes it off."""
    crossing: tuple[Crossing, ...]
    """What the Base-Net returns beside the coarse image, the feature first."""
    contiguous: bool = False
    """Windows lie contiguously in memory: some block takes no others."""
    blocks: tuple[int, int] = (0, 0)
    """Blocks in the Base-Net, and all that the original has."""
    original_macs: float = 0.0
    """Multiply-accumulates of the original per lr pixel."""
    example: tuple[int, ...] | None = None
    """Shape of the image that was given to accelerate it with; written down, since it may take no others."""
