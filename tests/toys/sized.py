"""Toy networks whose forward depends on the size of the image, each named after its trap."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from toys.plain import LongSkip, Residual, conv, shuffle

C = 8
WINDOW = 4


class PadsToMultiple(LongSkip):
    """Grows its input to a multiple of 8 only where it must, and crops the result."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        scale = self.tail[1].upscale_factor
        if height % 8 or width % 8:
            x = F.pad(x, [0, (-width) % 8, 0, (-height) % 8], mode="replicate")
        return super().forward(x)[..., : scale * height, : scale * width]


class PadsAndAddsImage(PadsToMultiple):
    """What crosses the cut at sr resolution is the image before the padding, not as large as the feature."""

    def forward(self, x: Tensor) -> Tensor:
        scale = self.tail[1].upscale_factor
        return super().forward(x) + F.interpolate(x, scale_factor=scale, mode="bilinear")


class AlwaysPads(LongSkip):
    """Pads to the next multiple of 8 even where it has one: no window's feature is as large as the window."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        scale = self.tail[1].upscale_factor
        x = F.pad(x, [0, 8 - width % 8, 0, 8 - height % 8], mode="replicate")
        return super().forward(x)[..., : scale * height, : scale * width]


class WritesToSelf(LongSkip):
    """Assigns to its own buffer, and multiplies its input in place."""

    def __init__(self, scale: int) -> None:
        super().__init__(scale)
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        self.mean = self.mean.type_as(x)
        if x.shape[-1] < 1:
            raise ValueError("empty")
        x -= self.mean
        return super().forward(x) + self.mean


class TokenBlock(nn.Module):
    """A block on rows of pixels (B, H*W, C) that is told their height and width."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.mlp, self.conv = nn.LayerNorm(C), nn.Linear(C, C), conv(C, C)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        x = x + self.mlp(self.norm(x))
        return x + self.conv(x.transpose(1, 2).view(-1, C, *size)).flatten(2).transpose(1, 2)


class Tokens(nn.Module):
    """The body works on rows of pixels; the head's map is added behind it."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head, self.tail = conv(3, C), shuffle(scale)
        self.layers = nn.ModuleList([TokenBlock() for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        first = self.head(x)
        batch, _, height, width = first.shape
        rows = first.flatten(2).transpose(1, 2)
        for layer in self.layers:
            rows = layer(rows, (height, width))
        return self.tail(rows.transpose(1, 2).view(batch, C, height, width) + first)


class LastBlock(nn.Module):
    """A block on (B, H, W, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.mlp, self.conv = nn.LayerNorm(C), nn.Linear(C, C), conv(C, C)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mlp(self.norm(x))
        return x + self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class ChannelsLast(nn.Module):
    """The body works on (B, H, W, C)."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head, self.tail = conv(3, C), shuffle(scale)
        self.layers = nn.Sequential(*[LastBlock() for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x).permute(0, 2, 3, 1)
        return self.tail(self.layers(x).permute(0, 3, 1, 2))


class AttentionBlock(nn.Module):
    """Attention in windows of 4 x 4, every second one shifted by half a window, under a mask for this size."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift = shift
        self.norm, self.qkv, self.out = nn.LayerNorm(C), nn.Linear(C, 3 * C), nn.Linear(C, C)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        rolled = torch.roll(x, (-self.shift, -self.shift), (2, 3))
        grid = (batch, C, height // WINDOW, WINDOW, width // WINDOW, WINDOW)
        rows = rolled.reshape(grid).permute(0, 2, 4, 3, 5, 1).reshape(-1, WINDOW**2, C)
        query, key, value = self.qkv(self.norm(rows)).chunk(3, dim=-1)
        bias = mask.repeat(batch, 1, 1) if self.shift else torch.zeros_like(mask).repeat(batch, 1, 1)
        rows = (query @ key.transpose(1, 2) + bias).softmax(-1) @ value
        rows = self.out(rows).view(batch, height // WINDOW, width // WINDOW, WINDOW, WINDOW, C)
        rolled = rows.permute(0, 5, 1, 3, 2, 4).reshape(x.shape)
        return x + torch.roll(rolled, (self.shift, self.shift), (2, 3))


class WindowAttention(nn.Module):
    """Pads to whole windows, makes the mask for the size item by item, crops (the Swin family)."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.head, self.tail = conv(3, C), shuffle(scale)
        self.layers = nn.ModuleList([AttentionBlock(shift % 2 * WINDOW // 2) for shift in range(4)])

    def mask(self, height: int, width: int) -> Tensor:
        region = torch.zeros(height, width)
        parts = (slice(0, -WINDOW), slice(-WINDOW, -WINDOW // 2), slice(-WINDOW // 2, None))
        for number, (rows, cols) in enumerate((rows, cols) for rows in parts for cols in parts):
            region[rows, cols] = number
        grid = region.view(height // WINDOW, WINDOW, width // WINDOW, WINDOW).permute(0, 2, 1, 3)
        same = grid.reshape(-1, WINDOW**2)
        return (same[:, None] != same[:, :, None]) * -100.0

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        x = F.pad(x, [0, (-width) % WINDOW, 0, (-height) % WINDOW], mode="replicate")
        first = x = self.head(x)
        mask = self.mask(*x.shape[-2:]).to(x)
        for layer in self.layers:
            x = layer(x, mask)
        return self.tail(x + first)[..., : self.scale * height, : self.scale * width]


class TwoValues(Residual):
    """A block that returns its tensor and something else."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = super().forward(x)
        return x, x.mean(dim=1, keepdim=True)


class TupleBlocks(nn.Module):
    """Blocks return two tensors each; the tail uses the last block's second one too."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head, self.tail = conv(3, C), shuffle(scale)
        self.block_1, self.block_2, self.block_3 = TwoValues(), TwoValues(), TwoValues()

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x) if x.shape[-1] else x
        x, _ = self.block_1(x)
        x, _ = self.block_2(x)
        x, more = self.block_3(x)
        return self.tail(x * more)


class Unshuffles(nn.Module):
    """The body works at half the image's resolution, on an image that is padded for it."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.head, self.tail = conv(12, C), shuffle(2 * scale)
        self.body = nn.Sequential(*[Residual() for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        _, _, height, width = x.size()
        if height % 2 or width % 2:
            x = F.pad(x, [0, width % 2, 0, height % 2], mode="replicate")
        x = self.body(self.head(F.pixel_unshuffle(x, 2)))
        return self.tail(x)[..., : self.scale * height, : self.scale * width]


class WholeWindowsOnly(WindowAttention):
    """Takes sides that are multiples of its windows, and no others."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2] % WINDOW or x.shape[-1] % WINDOW:
            raise ValueError(f"sides must be multiples of {WINDOW}")
        return super().forward(x)


class WholeWindow(Residual):
    """A block that takes whole windows of 4 x 4 and no others."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-2] % WINDOW or x.shape[-1] % WINDOW:
            raise ValueError(f"sides must be multiples of {WINDOW}")
        return super().forward(x)


class PadsUnasked(LongSkip):
    """Pads to whole windows by arithmetic alone, which torch.fx traces for every size; the blocks need them (ELAN)."""

    def __init__(self, scale: int) -> None:
        super().__init__(scale)
        self.body = nn.Sequential(*[WholeWindow() for _ in range(4)])

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        scale = self.tail[1].upscale_factor
        x = F.pad(x, [0, (-width) % WINDOW, 0, (-height) % WINDOW], mode="reflect")
        return super().forward(x)[..., : scale * height, : scale * width]


class CropsBeforeTail(LongSkip):
    """Pads at the right and below, and cuts that off before the tail, whose border is the image's again (LMLT)."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if height % 16 or width % 16:
            x = F.pad(x, [0, (-width) % 16, 0, (-height) % 16], mode="reflect")
        x = self.head(x)
        return self.tail((self.body(x) + x)[..., :height, :width])


class ReflectsFar(LongSkip):
    """Reflects more of the border than a small image has (MSN)."""

    def forward(self, x: Tensor) -> Tensor:
        x = x - F.avg_pool2d(F.pad(x, [70] * 4, mode="reflect"), 141, stride=1)
        return super().forward(x)


SIZED: dict[str, Callable[[int], nn.Module]] = {
    network.__name__: network
    for network in (
        PadsToMultiple,
        PadsAndAddsImage,
        AlwaysPads,
        WritesToSelf,
        Tokens,
        ChannelsLast,
        WindowAttention,
        TupleBlocks,
        Unshuffles,
    )
}


def build_sized(name: str, scale: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SIZED[name](scale).eval()
