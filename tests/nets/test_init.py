"""A start that hands the image on."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mga_wrap.nets.init import NOISE, pass_through


@pytest.mark.parametrize("channels", [1, 8, 48])
def test_a_little_more_than_the_identity(channels: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, channels, 3, padding=1)
    pass_through(conv)
    x = torch.randn(1, channels, 16, 16)
    with torch.no_grad():
        change = conv(x) - x
    assert 0 < change.std() < 3 * NOISE
    assert not conv.bias.any()


def test_equal_channels_part() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 4, 3, padding=1)
    pass_through(conv)
    with torch.no_grad():
        out = conv(torch.ones(1, 4, 5, 5))[0, :, 2, 2]
    assert len(set(out.tolist())) == 4
