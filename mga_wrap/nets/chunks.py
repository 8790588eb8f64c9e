"""The Refine-Net on some windows at a time: on a CPU, all of them at once fall out of its cache."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mga_wrap.nets.layouts import Crossing

PIXELS = 10_000
"""Pixels of windows at a time: 25 windows of 20 x 20. A few windows cost calls, many cost memory traffic."""


def refine_windows(refine: nn.Module, windows: Sequence[Tensor], *, crossing: Sequence[Crossing]) -> Tensor:
    """Run a Refine-Net on windows: all at once, or one chunk after the other on a CPU.

    A graph that is traced or exported holds one call for every size, and what is trained sees its whole batch at once.

    Args:
        refine: the Refine-Net, in eval mode if it is to run in chunks.
        windows: of each tensor that crosses the cut, see `windows_of`: (N, C, h, w), the first the feature's.
        crossing: these tensors; what all images share goes along with each chunk.

    Returns:
        (N, 3, zoom * h, zoom * w).
    """
    feature = windows[0]
    whole = (
        feature.device.type != "cpu"
        or refine.training
        or torch.is_grad_enabled()
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
    )
    step = max(1, PIXELS // feature[0, 0].numel()) if not whole else 0
    if whole or feature.shape[0] <= step:
        refined: Tensor = refine(*windows)
        return refined
    together = [one.layout == "shared" for one in crossing]

    def chunk(at: int) -> Tensor:
        some: Tensor = refine(*(x if t else x[at : at + step] for x, t in zip(windows, together, strict=True)))
        return some

    return torch.cat([chunk(at) for at in range(0, feature.shape[0], step)])
