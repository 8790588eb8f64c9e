"""A picture made by a formula, to try networks on: random noise makes some trained networks explode."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def synthetic(height: int, width: int, *, channels: int = 3) -> Tensor:
    """The upper left corner of a picture without end: soft shades, straight and round edges, fine texture.

    Args:
        height: H, any.
        width: W, any.
        channels: C, any; each is shaded in its own way.

    Returns:
        (1, C, H, W), float32 in 0..1, the same each time.
    """
    rows = torch.arange(height, dtype=torch.float64)[:, None]
    cols = torch.arange(width, dtype=torch.float64)
    phase = 2 * math.pi / 3 * torch.arange(channels, dtype=torch.float64)[:, None, None]
    shade = torch.sin(rows / 17 + phase) * torch.cos(cols / 23 - phase)  # (C, H, W)
    stripe = torch.sign((rows + 2 * cols) % 41 - 20.5)  # (H, W)
    disc = torch.sign(11 - torch.hypot(rows % 37 - 18, cols % 43 - 21))
    texture = torch.sin(1.9 * rows + 0.6 * cols) * torch.sin(0.5 * rows - 2.3 * cols)
    picture = 0.5 + 0.2 * shade + 0.1 * stripe + 0.1 * disc * torch.cos(phase) + 0.08 * texture
    return picture.float()[None]
