"""Bilinear interpolation as a convolution: the image of torch's own."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mga_wrap.nets.bilinear import Bilinear, for_engines, is_for_engines


class Enlarges(nn.Module):
    def __init__(self, channels: int, scale: int) -> None:
        super().__init__()
        self.enlarged = Bilinear(channels, scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.enlarged(x)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_what_is_traced_is_what_torch_does(channels: int, scale: int) -> None:
    net, x = Enlarges(channels, scale), torch.rand(2, channels, 7, 9)
    assert torch.equal(net(x), F.interpolate(x, scale_factor=scale, mode="bilinear"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        traced = torch.jit.trace(net, torch.rand(1, channels, 4, 5), check_trace=False)
    assert "interpolate" not in str(traced.graph)
    assert "upsample" not in str(traced.graph)
    for size in ((7, 9), (1, 6)):
        x = torch.rand(2, channels, *size)
        torch.testing.assert_close(traced(x), F.interpolate(x, scale_factor=scale, mode="bilinear"), atol=1e-6, rtol=0)


def test_what_is_exported_for_an_engine_is_a_convolution_too() -> None:
    net, x = Enlarges(3, 2), torch.rand(1, 3, 7, 9)
    with for_engines():
        assert is_for_engines()
        program = torch.export.export(net, (x,))
    assert not is_for_engines()
    assert "upsample" not in str(program.graph)
    assert "conv2d" in str(program.graph)
    torch.testing.assert_close(program.module()(x), net(x), atol=1e-6, rtol=0)
    assert "upsample" in str(torch.export.export(net, (x,)).graph)  # for anything else: on a GPU it lies elsewhere
