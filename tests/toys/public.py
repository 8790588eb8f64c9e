"""Published networks, written from their papers and from the keys of public checkpoints, which they load strictly.

Large ones, that `accelerate` is for, and a small one for a pair. The checkpoints lie beside the repository (the fixture
``shared``) and are never part of it. `read_public` builds one from its file. EMT and ELAN-light take images in 0..255,
which `UnitRange` hides, so that all of them take 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from toys.plain import conv


class Distilling(nn.Module):
    """IMDN's block: a quarter of the channels is kept after each of three convolutions, the rest goes on."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kept, self.rest = channels // 4, channels - channels // 4
        self.conv1, self.conv2, self.conv3 = (
            nn.Sequential(conv(given, channels), nn.LeakyReLU(0.05)) for given in (channels, self.rest, self.rest)
        )
        self.conv4, self.conv1x1 = conv(self.rest, self.kept), conv(4 * self.kept, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept, rest = [], x
        for step in (self.conv1, self.conv2, self.conv3):
            one, rest = step(rest).split([self.kept, self.rest], dim=1)
            kept.append(one)
        return x + self.conv1x1(torch.cat([*kept, self.conv4(rest)], dim=1))


class Skip(nn.Module):
    """What a stretch of layers makes, and what it was given, added."""

    def __init__(self, sub: nn.Module) -> None:
        super().__init__()
        self.sub = sub

    def forward(self, x: Tensor) -> Tensor:
        return x + self.sub(x)


class IMDN(nn.Module):
    """Convolutions alone, a long chain, a light tail (the baseline of a challenge on efficient networks)."""

    def __init__(self, *, channels: int = 64, blocks: int = 8, scale: int = 4) -> None:
        super().__init__()
        body = [*(Distilling(channels) for _ in range(blocks)), conv(channels, channels)]
        tail = [conv(channels, 3 * scale**2), nn.PixelShuffle(scale)]
        self.model = nn.Sequential(conv(3, channels), Skip(nn.Sequential(*body)), *tail)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class LocalDetail(nn.Module):
    """Two depthwise copies of each channel, mixed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.conv_0 = nn.Sequential(nn.Conv2d(channels, wide, 3, padding=1, groups=channels), conv(wide, wide, 1))
        self.conv_1 = conv(wide, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_1(F.gelu(self.conv_0(x)))


class SelfModulation(nn.Module):
    """Half of the feature is scaled by its own maxima over eighths of the map, and by its variance over all of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear_0, self.linear_1, self.linear_2 = (conv(channels, n * channels, 1) for n in (2, 1, 1))
        self.lde = LocalDetail(channels)
        self.dw_conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.alpha = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.belt = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, feature: Tensor) -> Tensor:
        size = feature.shape[-2:]
        local, x = self.linear_0(feature).chunk(2, dim=1)
        pooled = self.dw_conv(F.adaptive_max_pool2d(x, [side // 8 for side in size]))
        spread = x.var(dim=(2, 3), keepdim=True)
        gate = F.gelu(self.linear_1(pooled * self.alpha + spread * self.belt))
        return self.linear_2(x * F.interpolate(gate, size=size, mode="nearest") + self.lde(local))


class PartialConvolution(nn.Module):
    """A 3x3 convolution on a quarter of the channels between two 1x1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.some = wide // 4
        self.conv_0, self.conv_2 = conv(channels, wide, 1), conv(wide, channels, 1)
        self.conv_1 = conv(self.some, self.some)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.conv_0(x))
        some, others = x[:, : self.some], x[:, self.some :]
        return self.conv_2(torch.cat([F.gelu(self.conv_1(some)), others], dim=1))


class Modulated(nn.Module):
    """SMFANet's block; the feature is normalised over its channels before each half."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.smfa, self.pcfn = SelfModulation(channels), PartialConvolution(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.smfa(F.normalize(x))
        return x + self.pcfn(F.normalize(x))


class SMFANet(nn.Module):
    """Small and good; it looks at the whole image, and takes 8 pixels a side and more."""

    def __init__(self, *, channels: int = 36, blocks: int = 8, scale: int = 4) -> None:
        super().__init__()
        self.to_feat = conv(3, channels)
        self.feats = nn.Sequential(*(Modulated(channels) for _ in range(blocks)))
        self.to_img = nn.Sequential(conv(channels, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        x = self.to_feat(x)
        return self.to_img(x + self.feats(x))


class Shifting(nn.Conv2d):
    """A 1x1 convolution of channels of which four fifths were moved by one pixel, a fifth in each direction."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 1)
        self.mask = nn.Parameter(torch.zeros(channels_in, 1, 3, 3), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.conv2d(x, self.mask, padding=1, groups=self.in_channels))


def windows(x: Tensor, side: tuple[int, int], heads: int = 1) -> Tensor:
    """(B, heads*C, H, W) to (B*heads*windows, pixels of a window, C)."""
    b, c, h, w = x.shape
    rows, cols = side
    x = x.view(b, heads, c // heads, h // rows, rows, w // cols, cols)
    return x.permute(0, 1, 3, 5, 4, 6, 2).reshape(-1, rows * cols, c // heads)


def from_windows(x: Tensor, side: tuple[int, int], size: tuple[int, int], heads: int = 1) -> Tensor:
    """The inverse of `windows`, for a map of (H, W)."""
    (rows, cols), (h, w), c = side, size, x.shape[-1]
    x = x.view(-1, heads, h // rows, w // cols, rows, cols, c)
    return x.permute(0, 1, 6, 2, 4, 3, 5).reshape(-1, heads * c, h, w)


def padded(x: Tensor, side: tuple[int, int]) -> Tensor:
    """Mirrored at the lower and right border, to a multiple of (rows, columns)."""
    (h, w), (rows, cols) = x.shape[-2:], side
    return F.pad(x, [0, -w % cols, 0, -h % rows], mode="reflect")


class Attention(nn.Module):
    """ELAN's: each third of the channels in windows of another side; the second of two takes the first's weights."""

    def __init__(self, channels: int, *, sides: tuple[int, ...], shifted: bool, first: bool) -> None:
        super().__init__()
        self.sides, self.shifted = sides, shifted
        wide = 2 * channels if first else channels
        self.project_inp = nn.Sequential(conv(channels, wide, 1), nn.BatchNorm2d(wide))
        self.project_out = conv(channels, channels, 1)

    def forward(self, x: Tensor, known: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        weights, done = [], []
        for place, (third, side) in enumerate(zip(self.project_inp(x).chunk(3, dim=1), self.sides, strict=True)):
            by = side // 2 if self.shifted else 0
            part = third.roll((-by, -by), (2, 3))
            if known is None:
                query, value = (windows(half, (side, side)) for half in part.chunk(2, dim=1))
                weights.append((query @ query.transpose(1, 2)).softmax(dim=-1))
            else:
                value = windows(part, (side, side))
                weights.append(known[place])
            out = from_windows(weights[-1] @ value, (side, side), (x.shape[2], x.shape[3]))
            done.append(out.roll((by, by), (2, 3)))
        return self.project_out(torch.cat(done, dim=1)), weights


class LocalFeature(nn.Module):
    """Two shift convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lfe = nn.Sequential(Shifting(channels, 2 * channels), nn.ReLU(), Shifting(2 * channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.lfe(x)


class AttentionPair(nn.Module):
    """ELAN's block: shift convolutions and attention, twice, with the attention's weights computed once."""

    def __init__(self, channels: int, *, sides: tuple[int, ...], shifted: bool) -> None:
        super().__init__()
        self.modules_lfe = nn.ModuleList([LocalFeature(channels) for _ in range(2)])
        self.modules_gmsa = nn.ModuleList(
            [Attention(channels, sides=sides, shifted=shifted, first=first) for first in (True, False)]
        )

    def forward(self, x: Tensor) -> Tensor:
        weights = None
        for local, attention in zip(self.modules_lfe, self.modules_gmsa, strict=True):
            x = x + local(x)
            y, weights = attention(x, weights)
            x = x + y
        return x


class ELANLight(nn.Module):
    """12 pairs of window attention; pads to a multiple of 16; 0..255; made for pictures, explodes on noise."""

    def __init__(self, *, channels: int = 60, pairs: int = 12, scale: int = 4) -> None:
        super().__init__()
        self.scale, self.sides = scale, (4, 8, 16)
        self.sub_mean, self.add_mean = conv(3, 3, 1), conv(3, 3, 1)
        self.head = conv(3, channels)
        body = (AttentionPair(channels, sides=self.sides, shifted=index % 2 == 1) for index in range(pairs))
        self.body = nn.Sequential(*body)
        self.tail = nn.Sequential(conv(channels, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        multiple = math.lcm(*self.sides)
        x = self.head(self.sub_mean(padded(x, (multiple, multiple))))
        x = self.add_mean(self.tail(self.body(x) + x))
        return x[..., : h * self.scale, : w * self.scale]


class LongWindows(nn.Module):
    """EMT's attention: half of the channels in tall windows, half in wide ones, three heads each."""

    SIDES = ((32, 8), (8, 32))
    HEADS = 3

    def __init__(self, channels: int, *, shifted: bool) -> None:
        super().__init__()
        self.shifted = shifted
        self.attn = nn.Sequential(conv(channels, 2 * channels, 1), nn.BatchNorm2d(2 * channels))
        self.proj = nn.Sequential(conv(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        halves = [self._one(part, side) for part, side in zip(self.attn(x).chunk(2, dim=1), self.SIDES, strict=True)]
        return self.proj(torch.cat([half[..., :h, :w] for half in halves], dim=1))

    def _one(self, x: Tensor, side: tuple[int, int]) -> Tensor:
        x = padded(x, side)
        by = (side[0] // 2, side[1] // 2) if self.shifted else (0, 0)
        query, value = (windows(half, side, self.HEADS) for half in x.roll(by, (2, 3)).chunk(2, dim=1))
        out = (query @ query.transpose(1, 2)).softmax(dim=-1) @ value
        return from_windows(out, side, (x.shape[2], x.shape[3]), self.HEADS).roll((-by[0], -by[1]), (2, 3))


class Mixing(nn.Module):
    """Each channel's neighbour in one of four directions, less itself; the image wraps around."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.token_mixer = nn.Module()
        self.token_mixer.mask = nn.Parameter(torch.zeros(channels, 1, 3, 3), requires_grad=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        around = F.pad(x, [1] * 4, mode="circular")
        return self.norm(F.conv2d(around, self.token_mixer.mask, groups=x.shape[1]) - x)


class ShiftingPair(nn.Module):
    """EMT's two shift convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = Shifting(channels, 2 * channels), Shifting(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.silu(self.fc1(x)))


class MixedBlock(nn.Module):
    """EMT's block: two layers of attention, the second shifted, and four that mix neighbours."""

    def __init__(self, channels: int, *, layers: int = 6) -> None:
        super().__init__()
        attention = [LongWindows(channels, shifted=shifted) for shifted in (False, True)]
        self.sa_list = nn.ModuleList([*attention, *(Mixing(channels) for _ in range(layers - 2))])
        self.mlp_list = nn.ModuleList([ShiftingPair(channels) for _ in range(layers)])

    def forward(self, x: Tensor) -> Tensor:
        for mixer, mlp in zip(self.sa_list, self.mlp_list, strict=True):
            x = x + mixer(x)
            x = x + mlp(x)
        return x


class EMT(nn.Module):
    """Window attention that looks far; takes 17 pixels a side and more; 0..255; explodes on noise."""

    def __init__(self, *, channels: int = 60, blocks: int = 6, scale: int = 3) -> None:
        super().__init__()
        self.sub_mean, self.add_mean = conv(3, 3, 1), conv(3, 3, 1)
        self.head = conv(3, channels)
        self.body = nn.Sequential(*(MixedBlock(channels) for _ in range(blocks)))
        self.tail = nn.Sequential(conv(channels, 3 * scale**2), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(self.body(x) + x))


class UnitRange(nn.Module):
    """A network of 0..255 as one of 0..1."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x * 255) / 255


PUBLIC: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "IMDN_nb8_x4": (IMDN, 1),
    "SMFANet_x3": (lambda: SMFANet(scale=3), 1),
    "SMFANet_x4": (SMFANet, 1),
    "SMFANet_plus_x4": (lambda: SMFANet(channels=48, blocks=12), 1),
    "ELAN_light_x4": (ELANLight, 255),
    "EMT_x3": (EMT, 255),
}
"""By the name of its file: what builds each network, and the value of white that it takes."""


def read_public(path: Path) -> nn.Module:
    """The network of a public checkpoint, with its weights, in eval mode; images in 0..1."""
    build, white = PUBLIC[path.stem]
    tensors = torch.load(path, weights_only=True, map_location="cpu")
    model = build()
    model.load_state_dict(tensors.get("params", tensors), strict=True)
    return (UnitRange(model) if white != 1 else model).eval()
