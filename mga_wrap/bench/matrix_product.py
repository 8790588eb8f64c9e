"""The product of two square matrices, which shows what a machine can do in a dtype."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def _side(device: torch.device) -> int:
    return 1024 if device.type == "cpu" else 8192


def product_macs(device: torch.device) -> int:
    """Multiply-accumulates of one product."""
    return _side(device) ** 3


def matrix_product(device: torch.device, dtype: torch.dtype) -> Callable[[], Tensor]:
    """What multiplies the two matrices."""
    side = _side(device)
    a, b = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(2))
    return lambda: a @ b
