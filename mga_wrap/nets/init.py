"""A start for new convolutions that hands its input on, so that training begins from an image and not from noise."""

from __future__ import annotations

import torch
from torch import nn

NOISE = 0.1
"""Share of the usual random start that is added to the identity, so that equal channels part."""


def pass_through(conv: nn.Conv2d) -> None:
    """Set a convolution to the identity (centre taps 1) plus a little of the usual random start; bias 0.

    Draws from torch's random state like any layer's own start.
    """
    with torch.no_grad():
        nn.init.kaiming_normal_(conv.weight, nonlinearity="leaky_relu")
        conv.weight.mul_(NOISE)
        identity = torch.empty_like(conv.weight)
        conv.weight.add_(nn.init.dirac_(identity))
        if conv.bias is not None:
            conv.bias.zero_()
