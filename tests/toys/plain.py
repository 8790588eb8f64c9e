"""Toy super-resolution networks, each named after the one trap that it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mga_wrap.backbones.fsrcnn import FSRCNN
from mga_wrap.backbones.pan import PAN

C = 8
"""Channels of the toys."""


def conv(channels_in: int, channels_out: int, side: int = 3) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, side, padding=side // 2)


def shuffle(scale: int) -> nn.Sequential:
    return nn.Sequential(conv(C, 3 * scale**2), nn.PixelShuffle(scale))


class Residual(nn.Module):
    """x + f(x), the commonest block."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.act, self.conv2 = conv(C, C), nn.ReLU(), conv(C, C)

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.5 * self.conv2(self.act(self.conv1(x)))


class LongSkip(nn.Module):
    """The head's feature is added after the body (EDSR, SRResNet, RCAN)."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head = conv(3, C)
        self.body = nn.Sequential(*[Residual() for _ in range(4)], conv(C, C))
        self.tail = shuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        return self.tail(self.body(x) + x)


class ImageAdded(nn.Module):
    """An enlarged copy of the image is added at the end; activations stand between the blocks (SRVGGNetCompact)."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [conv(3, C), nn.PReLU(C)]
        for _ in range(4):
            layers += [conv(C, C), nn.PReLU(C)]
        self.body = nn.ModuleList([*layers, conv(C, 3 * scale**2)])
        self.upsampler = nn.PixelShuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for layer in self.body:
            out = layer(out)
        out = self.upsampler(out)
        out += F.interpolate(x, scale_factor=self.scale, mode="nearest")
        return out


class CatFusion(nn.Module):
    """The outputs of all blocks are concatenated into a 1x1 convolution (RFDN, IMDN); blocks are attributes."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.fea_conv = conv(3, C)
        self.B1, self.B2, self.B3, self.B4 = Residual(), Residual(), Residual(), Residual()
        self.c = nn.Sequential(conv(4 * C, C, 1), nn.LeakyReLU(0.05))
        self.LR_conv = conv(C, C)
        self.upsampler = shuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        fea = self.fea_conv(x)
        b1 = self.B1(fea)
        b2 = self.B2(b1)
        b3 = self.B3(b2)
        b4 = self.B4(b3)
        return self.upsampler(self.LR_conv(self.c(torch.cat([b1, b2, b3, b4], dim=1))) + fea)


class TwoStepUpsampler(nn.Module):
    """The upsampler has two steps, the scale is their product (x4; else one step)."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head, self.trunk = conv(3, C), nn.Sequential(*[Residual() for _ in range(3)])
        steps = [2, 2] if scale == 4 else [scale]
        self.up = nn.Sequential(
            *[nn.Sequential(conv(C, C * step**2), nn.PixelShuffle(step), nn.LeakyReLU(0.2)) for step in steps]
        )
        self.last = conv(C, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.up(self.trunk(self.head(x))))


class TransposedTail(nn.Module):
    """The tail is a transposed convolution whose kernel is wider than its stride."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head, self.body = conv(3, C), nn.Sequential(*[Residual() for _ in range(3)])
        self.up = nn.ConvTranspose2d(C, 3, 9, stride=scale, padding=4, output_padding=scale - 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.body(self.head(x)))


class InPlaceBlock(nn.Module):
    """Writes into its own input before it uses it."""

    def __init__(self) -> None:
        super().__init__()
        self.act, self.conv = nn.LeakyReLU(0.2, inplace=True), conv(C, C)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.act(x)) + x


class InPlace(nn.Module):
    """Blocks and tail write in place into what others read: the skip, the feature, and the image itself."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head, self.body = conv(3, C), nn.Sequential(*[InPlaceBlock() for _ in range(4)])
        self.act, self.tail = nn.ReLU(inplace=True), shuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        first = self.head(x.mul_(2.0))
        return self.tail(self.act(self.body(first)) + first)


class BranchingBlock(nn.Module):
    """Python control flow on shapes and on itself, which no symbolic trace survives."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number, self.conv1, self.conv2 = number, conv(C, C), conv(C, C)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for _ in range(1 + self.number % 2):
            y = self.conv1(y)
        if x.shape[1] % 2 == 0 and len(x) > 0:
            y = F.relu(y)
        return x + 0.3 * self.conv2(y)


class ControlFlow(nn.Module):
    """Blocks with Python control flow inside."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head, self.body = conv(3, C), nn.ModuleList([BranchingBlock(n) for n in range(4)])
        self.tail = shuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        for block in self.body:
            x = block(x)
        return self.tail(x)


class SharedActivation(nn.Module):
    """One activation module (with a weight) after every convolution; residual sums and a scaling in the root."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head, self.act = conv(3, C), nn.PReLU()
        self.body = nn.ModuleList([conv(C, C) for _ in range(4)])
        self.tail = shuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.head(x))
        for layer in self.body:
            x = x + 0.2 * self.act(layer(x))
        return self.tail(x)


class TiedBlocks(nn.Module):
    """One block called four times (DRRN), between a mean subtracted and added again."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.45]).view(1, 3, 1, 1))
        self.head, self.block, self.tail = conv(3, C), Residual(), shuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        x = first = self.head(x - self.mean)
        for _ in range(4):
            x = self.block(x)
        return self.tail(x + first) + self.mean


class AsksForSizes(nn.Module):
    """The enlarged image is made first, to a size that the root asks the image for."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale, self.head = scale, conv(3, C)
        self.body, self.tail = nn.Sequential(*[Residual() for _ in range(3)]), shuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        size = (height * self.scale, width * self.scale)
        enlarged = F.interpolate(x, size=size, mode="bilinear")
        out = self.tail(self.body(self.head(x)))
        return F.interpolate(out, size=size, mode="nearest") + enlarged


class Wrapped(nn.Module):
    """The network lies inside another module, its blocks two containers deep."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.net = LongSkip(scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def small_fsrcnn(scale: int) -> nn.Module:
    return FSRCNN(scale=scale)


def small_pan(scale: int) -> nn.Module:
    return PAN(scale=scale, nb=4, nf=16, unf=8)


TOYS: dict[str, Callable[[int], nn.Module]] = {
    toy.__name__: toy
    for toy in (
        LongSkip,
        ImageAdded,
        CatFusion,
        TwoStepUpsampler,
        TransposedTail,
        InPlace,
        ControlFlow,
        SharedActivation,
        TiedBlocks,
        AsksForSizes,
        Wrapped,
    )
}
NETWORKS: dict[str, Callable[[int], nn.Module]] = {**TOYS, "FSRCNN": small_fsrcnn, "PAN": small_pan}


def build(name: str, scale: int, networks: Mapping[str, Callable[[int], nn.Module]] = NETWORKS) -> nn.Module:
    """A network with random weights, the same for the same name and scale, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(len(name) + scale)
        return networks[name](scale).eval()
