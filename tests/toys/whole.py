"""Toy networks without a chain of blocks, which only a pair can take, each named after its trap; and small ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from toys.plain import C, LongSkip, Residual, conv, shuffle

WINDOW = 4
FILTERS = 6


def to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Grown at the right and at the bottom, where it must."""
    height, width = x.shape[-2:]
    if height % multiple or width % multiple:
        return F.pad(x, [0, (-width) % multiple, 0, (-height) % multiple], mode="replicate")
    return x


class UShaped(nn.Module):
    """Down, across and up again: no two calls in a row keep one shape, and windows must begin at multiples of 4."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.one, self.two, self.three = conv(3, C), conv(C, 2 * C), conv(2 * C, 4 * C)
        self.back_two, self.back_one = conv(4 * C, 2 * C), conv(2 * C, C)
        self.tail = shuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        one = F.relu(self.one(to_multiple(x, 4)))
        two = F.relu(self.two(F.avg_pool2d(one, 2)))
        three = F.relu(self.three(F.avg_pool2d(two, 2)))
        two = two + F.relu(self.back_two(F.interpolate(three, scale_factor=2.0)))
        one = one + F.relu(self.back_one(F.interpolate(two, scale_factor=2.0)))
        return self.tail(one)[..., : self.scale * height, : self.scale * width]


class WindowContext(nn.Module):
    """Attention in windows that also see the mean of the next window (NGswin); the number of windows is a number."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv, self.out, self.context = (
            nn.Linear(channels, 3 * channels),
            nn.Linear(channels, channels),
            nn.Linear(channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        rows, cols = height // WINDOW, width // WINDOW
        tokens = x.view(batch, channels, rows, WINDOW, cols, WINDOW).permute(0, 2, 4, 3, 5, 1)
        tokens = tokens.reshape(batch, rows, cols, WINDOW * WINDOW, channels)
        grams = tokens.mean(dim=3, keepdim=True)
        beyond = torch.cat([grams[:, :, 1:], grams[:, :, -1:]], dim=2)
        q, key, value = self.qkv(tokens + self.context(beyond)).chunk(3, dim=-1)
        seen = self.out(F.scaled_dot_product_attention(q, key, value))
        seen = seen.view(batch, rows, cols, WINDOW, WINDOW, channels).permute(0, 5, 1, 3, 2, 4)
        return x + seen.reshape(x.shape)


class Hierarchical(nn.Module):
    """Windows at two resolutions, brought together at the end (NGswin)."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.head, self.fuse = conv(3, C), conv(2 * C, C, 1)
        self.fine, self.coarse = WindowContext(C), WindowContext(C)
        self.tail = shuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        first = self.fine(self.head(to_multiple(x, 2 * WINDOW)))
        second = self.coarse(F.avg_pool2d(first, 2))
        found = self.fuse(torch.cat([first, F.interpolate(second, scale_factor=2.0)], dim=1))
        return self.tail(found)[..., : self.scale * height, : self.scale * width]


class FilterMixer(nn.Module):
    """Weighs fixed filters anew for every pixel of sr (LAPAR): what it works on last is as large as sr."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.head, self.block = conv(3, C), Residual()
        self.weigh = nn.Sequential(conv(C, FILTERS * scale * scale), nn.PixelShuffle(scale))
        self.register_buffer("filters", torch.randn(FILTERS, 1, 5, 5) / 25)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        weights = self.weigh(self.block(self.head(x)))
        up = F.interpolate(x, size=(height * self.scale, width * self.scale), mode="bicubic", align_corners=False)
        patches = F.conv2d(F.pad(up, [2] * 4, mode="replicate").flatten(0, 1)[:, None], self.filters)
        patches = patches.view(batch, 3, FILTERS, *up.shape[-2:])
        return up + (patches * weights[:, None]).sum(dim=2)


class WholeMap(nn.Module):
    """Every pixel attends to a few tokens made of the whole map: no window is exact."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head, self.query, self.mixed = conv(3, C), conv(C, C, 1), nn.Linear(C, C)
        self.tail = shuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        feature = self.head(x)
        tokens = F.adaptive_avg_pool2d(feature, 2).flatten(2).transpose(1, 2)
        query = self.query(feature).flatten(2).transpose(1, 2)
        seen = F.scaled_dot_product_attention(query, tokens, self.mixed(tokens))
        return self.tail(feature + seen.transpose(1, 2).reshape(feature.shape))


class WritesIntoLr(LongSkip):
    """Normalises the image that it is given in place."""

    def forward(self, x: Tensor) -> Tensor:
        x.mul_(2.0).sub_(1.0)
        return super().forward(x)


class NoWindows(LongSkip):
    """Takes pictures of exactly the sides on which it was trained, and larger ones of 24 x 32."""

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[-2:]) not in ((64, 48), (32, 24)):
            raise ValueError(f"a picture of {x.shape[-2]} x {x.shape[-1]}")
        return super().forward(x)


class LargeOnly(LongSkip):
    """Reflects 20 pixels at every border: windows of 20 pixels a side and less are refused."""

    def forward(self, x: Tensor) -> Tensor:
        scale = self.tail[1].upscale_factor
        cut = 20 * scale
        return super().forward(F.pad(x, [20] * 4, mode="reflect"))[..., cut:-cut, cut:-cut]


class Enlarges(nn.Module):
    """A small network without a chain: one convolution. It shows no feature."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale, self.fix = scale, conv(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        up = F.interpolate(x, scale_factor=float(self.scale), mode="bicubic", align_corners=False)
        return up + 0.1 * self.fix(up)


WHOLE: dict[str, Callable[[int], nn.Module]] = {
    toy.__name__: toy for toy in (UShaped, Hierarchical, FilterMixer, WholeMap, WritesIntoLr, LargeOnly)
}
"""All can be the large network of a pair."""
EXACT = {"UShaped": 4, "FilterMixer": 1, "WritesIntoLr": 1}
"""Networks that some halo makes exact, and the multiple of windows' places that they want."""
SMALL: dict[str, Callable[[int], nn.Module]] = {"LongSkip": LongSkip, "Enlarges": Enlarges}
"""With a feature, and without."""


def build_whole(name: str, scale: int) -> nn.Module:
    """A network with random weights, the same for the same name and scale, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(len(name) + scale)
        return {**WHOLE, **SMALL, "NoWindows": NoWindows}[name](scale).eval()


class Pools(nn.Module):
    """Pools to a size that does not divide the image's, which the ONNX exporter does not know."""

    scale = 2

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_max_pool2d(x, (x.shape[-2] // 8, x.shape[-1] // 8))
        wide = nn.functional.interpolate(pooled, size=x.shape[-2:], mode="nearest")
        return nn.functional.pixel_shuffle(self.layer(x + wide), 2)
