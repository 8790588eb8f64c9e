"""Layers that take the halo off a window inside the Refine-Net (style "paper")."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from mga_wrap.nets.init import pass_through


def crop(x: Tensor, ring: int) -> Tensor:
    """Cut `ring` pixels off each side of (N, C, H, W)."""
    return x[..., ring : x.shape[-2] - ring, ring : x.shape[-1] - ring] if ring else x


class ShrinkingConv2d(nn.Conv2d):
    """A 3x3 convolution that leaves its padding out on request (a module call, so that it is counted as one)."""

    @classmethod
    def copy_of(cls, conv: nn.Conv2d) -> ShrinkingConv2d:
        """Copy a 3x3 convolution with its weights, on its device and in its dtype."""
        twin = cls(conv.in_channels, conv.out_channels, 3, padding=1, device=conv.weight.device)
        twin.to(conv.weight.dtype).load_state_dict(conv.state_dict())
        return twin

    @classmethod
    def identity_like(cls, conv: nn.Conv2d) -> ShrinkingConv2d:
        """Make a convolution of the size of another that passes its input on."""
        twin = cls.copy_of(conv)
        nn.init.dirac_(twin.weight)
        if twin.bias is not None:
            nn.init.zeros_(twin.bias)
        return twin

    def forward(self, x: Tensor, *, shrink: bool = False) -> Tensor:
        """(N, C, h, w) -> (N, C', h, w), or (N, C', h - 2, w - 2) if it is to shrink."""
        return F.conv2d(x, self.weight, self.bias, padding=0 if shrink else self.padding)


class TrimConvolutions(nn.Module):
    """Two 3x3 convolutions, the second of which is unpadded and so takes one ring off (paper, Refine-Net).

    Args:
        channels: C of the feature, in and out.
        halo: ring around the patches that come in.
    """

    def __init__(self, channels: int, *, halo: int) -> None:
        super().__init__()
        self.halo = halo
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.act = nn.LeakyReLU(0.2)
        self.conv2 = ShrinkingConv2d(channels, channels, 3, padding=1)
        pass_through(self.conv1)
        pass_through(self.conv2)

    def forward(self, x: Tensor, *, dense: bool = False) -> Tensor:
        """Windows (N, C, n, n) -> (N, C, n - 2 * halo, ...); a whole map, dense, keeps its size (variant D)."""
        x = self.act(self.conv1(x))
        if dense or self.halo == 0:
            return self.conv2(x)
        return self.conv2(crop(x, self.halo - 1), shrink=True)


class TrimTail(nn.Module):
    """A tail of a network's own that takes one ring off at SR resolution (e.g. PAN's, see its `paper_refine_tail`).

    Args:
        tail: called as `tail(x, shrink=...)`; to shrink takes one LR pixel off each side.
        halo: ring around the patches that come in.
    """

    def __init__(self, tail: nn.Module, *, halo: int) -> None:
        super().__init__()
        self.halo = halo
        self.tail = tail

    def forward(self, x: Tensor, *, dense: bool = False) -> Tensor:
        """Windows (N, C, n, n) -> (N, 3, s*(n - 2*halo), ...); a whole map, dense, (N, 3, s*n, s*n) (variant D)."""
        if dense or self.halo == 0:
            return self.tail(x, shrink=False)
        return self.tail(crop(x, self.halo - 1), shrink=True)
