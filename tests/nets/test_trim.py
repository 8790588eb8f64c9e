"""Layers that take the halo off."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mga_wrap.nets.trim import ShrinkingConv2d, TrimConvolutions, TrimTail, crop


def test_a_convolution_that_shrinks_is_the_padded_one_inside() -> None:
    torch.manual_seed(0)
    conv = ShrinkingConv2d.copy_of(nn.Conv2d(3, 5, 3, padding=1))
    x = torch.rand(2, 3, 8, 9)
    with torch.no_grad():
        torch.testing.assert_close(conv(x, shrink=True), crop(conv(x), 1))
    assert conv(x).shape == (2, 5, 8, 9)


def test_a_copy_has_its_own_weights() -> None:
    conv = nn.Conv2d(3, 3, 3, padding=1).double()
    twin = ShrinkingConv2d.copy_of(conv)
    assert twin.weight.dtype == torch.float64
    assert torch.equal(twin.weight, conv.weight)
    assert twin.weight.data_ptr() != conv.weight.data_ptr()


def test_the_identity_hands_on() -> None:
    conv = ShrinkingConv2d.identity_like(nn.Conv2d(4, 4, 3, padding=1))
    x = torch.rand(1, 4, 6, 6)
    with torch.no_grad():
        torch.testing.assert_close(conv(x), x)


@pytest.mark.parametrize("halo", [0, 1, 3])
def test_windows_lose_their_halo_and_maps_do_not(halo: int) -> None:
    trim = TrimConvolutions(6, halo=halo)
    x = torch.rand(2, 6, 4 + 2 * halo, 4 + 2 * halo)
    assert trim(x).shape == (2, 6, 4, 4)
    assert trim(x, dense=True).shape == x.shape


class Tail(nn.Module):
    def forward(self, x: Tensor, *, shrink: bool) -> Tensor:
        big = F.interpolate(x[:, :3], scale_factor=2)
        return crop(big, 2) if shrink else big


@pytest.mark.parametrize("halo", [0, 1, 2])
def test_a_tail_of_the_networks_own_takes_the_last_ring(halo: int) -> None:
    trim = TrimTail(Tail(), halo=halo)
    x = torch.rand(2, 6, 4 + 2 * halo, 4 + 2 * halo)
    assert torch.equal(trim(x), F.interpolate(crop(x[:, :3], halo), scale_factor=2))
    assert trim(x, dense=True).shape[-1] == 2 * x.shape[-1]
