"""Which parameters are the coarse tail's; a network in eval mode for a while."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.pair import PairBase


def coarse_tail(net: MGANet, *, side: int) -> set[str]:
    """Names of the Base-Net's parameters that only the coarse image depends on.

    Found by running it: a parameter without a gradient from anything that crosses the cut. Training them changes
    neither what the Refine-Net gets nor, in style "pretrained", any refined patch. Of a pair it is what matches the
    colours, where they are matched: both its networks are trained.
    """
    if isinstance(net.base, PairBase):
        return {f"base.match.{name}" for name, _ in net.base.match.named_parameters()}
    base = copy.deepcopy(net.base).eval().requires_grad_(True)
    named = dict(base.named_parameters())
    like = next(iter(named.values()))
    lr = torch.full((1, net.geometry.channels, side, side), 0.5, device=like.device, dtype=like.dtype)
    with torch.inference_mode(False), torch.enable_grad():
        _, *crossing = base(lr)
        needed = [x for x in crossing if x.requires_grad]
        total = torch.stack([x.sum() for x in needed]).sum()
        gradients = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    return {f"base.{name}" for name, gradient in zip(named, gradients, strict=True) if gradient is None}


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """All modules in eval mode, and each in its own again."""
    modes = [(module, module.training) for module in net.modules()]
    try:
        net.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode
