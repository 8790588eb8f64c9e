"""Networks without a chain of blocks, each a trap for whoever wants to cut it, and small ones to stand before them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

C = 8


def conv(channels_in: int, channels_out: int, side: int = 3) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, side, padding=side // 2)


class UNet(nn.Module):
    """Goes down and up again: no chain, and windows that begin off its grid give another result."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.enter, self.down, self.deep = conv(3, C), nn.Conv2d(C, 2 * C, 2, stride=2), conv(2 * C, 2 * C)
        self.up, self.leave = nn.ConvTranspose2d(2 * C, C, 2, stride=2), conv(2 * C, 3 * scale**2)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, lr: Tensor) -> Tensor:
        height, width = lr.shape[-2:]
        x = F.relu(self.enter(F.pad(lr, [0, width % 2, 0, height % 2], mode="replicate")))
        y = self.up(F.relu(self.deep(self.down(x))))
        return self.shuffle(self.leave(torch.cat([x, y], dim=1)))[..., : height * self.scale, : width * self.scale]

    @property
    def scale(self) -> int:
        return self.shuffle.upscale_factor


class Dictionary(nn.Module):
    """Each pixel mixes fixed filters of the bilinear image (LAPAR's shape)."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.weights = nn.Sequential(conv(3, C), nn.ReLU(), conv(C, 4 * scale**2), nn.PixelShuffle(scale))
        self.register_buffer("filters", torch.randn(4, 1, 5, 5, generator=torch.Generator().manual_seed(0)) / 25)

    def forward(self, lr: Tensor) -> Tensor:
        large = F.interpolate(lr, scale_factor=self.scale, mode="bilinear", align_corners=False)
        batch, channels, height, width = large.shape
        each = F.conv2d(large.reshape(-1, 1, height, width), self.filters, padding=2)
        mixed = (each.view(batch, channels, 4, height, width) * self.weights(lr)[:, None]).sum(2)
        return large + mixed


class WindowAttention(nn.Module):
    """Attention inside windows of 8, merged over two resolutions (NGswin's shape): pads to whole windows."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale, self.side = scale, 8
        self.enter, self.mix = conv(3, C), nn.Linear(C, 3 * C)
        self.leave = nn.Sequential(conv(2 * C, 3 * scale**2), nn.PixelShuffle(scale))

    def attended(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        s = self.side
        tiles = x.view(batch, channels, height // s, s, width // s, s).permute(0, 2, 4, 3, 5, 1).reshape(-1, s * s, C)
        q, k, v = self.mix(tiles).chunk(3, dim=-1)
        out = (q @ k.transpose(1, 2) / C).softmax(dim=-1) @ v
        out = out.view(batch, height // s, width // s, s, s, channels).permute(0, 5, 1, 3, 2, 4)
        return out.reshape(batch, channels, height, width)

    def forward(self, lr: Tensor) -> Tensor:
        height, width = lr.shape[-2:]
        pad = [0, -width % (2 * self.side), 0, -height % (2 * self.side)]
        x = self.enter(F.pad(lr, pad, mode="replicate"))
        coarse = F.interpolate(self.attended(F.avg_pool2d(x, 2)), scale_factor=2)
        sr = self.leave(torch.cat([x + self.attended(x), coarse], dim=1))
        return sr[..., : height * self.scale, : width * self.scale]


class Everywhere(nn.Module):
    """Weighs its channels by the mean over the whole image."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale, self.enter, self.weigh = scale, conv(3, C), nn.Linear(C, C)
        self.leave = nn.Sequential(conv(C, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, lr: Tensor) -> Tensor:
        x = self.enter(lr)
        return self.leave(x * self.weigh(x.mean(dim=(2, 3)))[..., None, None].sigmoid())


class OnlyLarge(nn.Module):
    """Takes no window that is smaller than 40 pixels a side."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.net = Plain(scale, blocks=2)

    def forward(self, lr: Tensor) -> Tensor:
        if min(lr.shape[-2:]) < 40:
            raise ValueError("too small for five poolings")
        return self.net(lr)


class Plain(nn.Sequential):
    """A few convolutions around a skip of the image: the small one, or with more blocks the large one."""

    def __init__(self, scale: int, *, blocks: int = 1, width: int = C) -> None:
        body = [nn.Sequential(conv(width, width), nn.ReLU()) for _ in range(blocks)]
        tail = nn.Sequential(conv(width, 3 * scale**2), nn.PixelShuffle(scale))
        super().__init__(conv(3, width), *body, tail)
        self.scale = scale

    def forward(self, lr: Tensor) -> Tensor:
        return 0.1 * super().forward(lr) + F.interpolate(lr, scale_factor=self.scale)  # an image, as trained ones make


LARGE = {"UNet": UNet, "Dictionary": Dictionary, "WindowAttention": WindowAttention, "Everywhere": Everywhere}
"""None of these has a chain of blocks. The last one looks at the whole image."""


def large(name: str, scale: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return LARGE[name](scale).eval()


def small(scale: int, *, width: int = 3) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return Plain(scale, blocks=1, width=width).eval()
