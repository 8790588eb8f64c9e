"""Toy networks after the best-known published shapes, written from their descriptions: the traps that people ship."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from toys.plain import C, Residual, conv, shuffle

MEAN = (0.45, 0.44, 0.40)


def mean_shift(sign: int) -> nn.Conv2d:
    """A frozen 1x1 convolution that subtracts or adds the colours' mean (EDSR, RCAN, CARN)."""
    shift = nn.Conv2d(3, 3, 1).requires_grad_(False)
    shift.weight.copy_(torch.eye(3)[..., None, None])
    shift.bias.copy_(sign * torch.tensor(MEAN))
    return shift


class ScaledResidual(nn.Module):
    """EDSR's block: what its body says counts a tenth, and is written in place."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(C, C), nn.ReLU(inplace=True), conv(C, C))
        self.res_scale = 0.1

    def forward(self, x: Tensor) -> Tensor:
        res = self.body(x).mul(self.res_scale)
        res += x
        return res


class EDSR(nn.Module):
    """Mean shift before and after; the body is a Sequential whose last child is a convolution; a long skip in place."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.sub_mean, self.add_mean = mean_shift(-1), mean_shift(1)
        self.head = nn.Sequential(conv(3, C))
        self.body = nn.Sequential(*[ScaledResidual() for _ in range(4)], conv(C, C))
        self.tail = nn.Sequential(nn.Sequential(conv(C, C * scale**2), nn.PixelShuffle(scale)), conv(C, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(self.sub_mean(x))
        res = self.body(x)
        res += x
        return self.add_mean(self.tail(res))


class Distilling(nn.Module):
    """IMDN's block: every step keeps a quarter of its channels and hands the rest on; no attention."""

    def __init__(self) -> None:
        super().__init__()
        self.kept, self.rest = C // 4, C - C // 4
        self.c1, self.c2, self.c3 = conv(C, C), conv(self.rest, C), conv(self.rest, self.kept)
        self.act, self.c5 = nn.LeakyReLU(0.05, inplace=True), conv(3 * self.kept, C, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, rest = torch.split(self.act(self.c1(x)), (self.kept, self.rest), dim=1)
        two, rest = torch.split(self.act(self.c2(rest)), (self.kept, self.rest), dim=1)
        return self.c5(torch.cat([one, two, self.c3(rest)], dim=1)) + x


class IMDN(nn.Module):
    """Blocks in attributes IMDB1..6, all of them concatenated into a 1x1 convolution."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.fea_conv = conv(3, C)
        self.IMDB1, self.IMDB2, self.IMDB3 = Distilling(), Distilling(), Distilling()
        self.IMDB4, self.IMDB5, self.IMDB6 = Distilling(), Distilling(), Distilling()
        self.c = nn.Sequential(conv(6 * C, C, 1), nn.LeakyReLU(0.05, inplace=True))
        self.LR_conv, self.upsampler = conv(C, C), shuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        fea = self.fea_conv(x)
        b1 = self.IMDB1(fea)
        b2 = self.IMDB2(b1)
        b3 = self.IMDB3(b2)
        b4 = self.IMDB4(b3)
        b5 = self.IMDB5(b4)
        b6 = self.IMDB6(b5)
        return self.upsampler(self.LR_conv(self.c(torch.cat([b1, b2, b3, b4, b5, b6], dim=1))) + fea)


class CARN(nn.Module):
    """Cascading: between the blocks everything so far is concatenated, wider each time, into a 1x1 convolution."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.sub_mean, self.add_mean = mean_shift(-1), mean_shift(1)
        self.entry = conv(3, C)
        self.b1, self.b2, self.b3 = Residual(), Residual(), Residual()
        self.c1, self.c2, self.c3 = (nn.Sequential(conv(n * C, C, 1), nn.ReLU(inplace=True)) for n in (2, 3, 4))
        self.exit = shuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        first = wide = self.entry(self.sub_mean(x))
        wide = torch.cat([wide, self.b1(first)], dim=1)
        out = self.c1(wide)
        wide = torch.cat([wide, self.b2(out)], dim=1)
        out = self.c2(wide)
        wide = torch.cat([wide, self.b3(out)], dim=1)
        return self.add_mean(self.exit(self.c3(wide)))


class DenseBlock(nn.Module):
    """RDN's block: each layer sees all before it; a 1x1 convolution and a skip at the end."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Sequential(conv(C + 4 * n, 4), nn.ReLU()) for n in range(3)]
        self.convs, self.LFF = nn.ModuleList(layers), conv(C + 12, C, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for layer in self.convs:
            out = torch.cat((out, layer(out)), dim=1)
        return self.LFF(out) + x


class RDN(nn.Module):
    """Two shallow features, blocks in a ModuleList gathered in a Python list, global fusion, the first one added."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.SFENet1, self.SFENet2 = conv(3, C), conv(C, C)
        self.RDBs = nn.ModuleList([DenseBlock() for _ in range(4)])
        self.GFF = nn.Sequential(conv(4 * C, C, 1), conv(C, C))
        self.UPNet = nn.Sequential(conv(C, C * scale**2), nn.PixelShuffle(scale), conv(C, 3))

    def forward(self, x: Tensor) -> Tensor:
        first = self.SFENet1(x)
        x = self.SFENet2(first)
        outputs = []
        for index in range(len(self.RDBs)):
            x = self.RDBs[index](x)
            outputs.append(x)
        x = self.GFF(torch.cat(outputs, 1))
        x += first
        return self.UPNet(x)


class MSRResNet(nn.Module):
    """One in-place activation and one PixelShuffle called many times; the bilinear image is added in place."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.conv_first, self.body = conv(3, C), nn.Sequential(*[Residual() for _ in range(4)])
        self.steps = 2 if scale == 4 else 1
        step = 2 if scale == 4 else scale
        self.upconvs = nn.ModuleList([conv(C, C * step**2) for _ in range(self.steps)])
        self.pixel_shuffle, self.lrelu = nn.PixelShuffle(step), nn.LeakyReLU(0.1, inplace=True)
        self.conv_hr, self.conv_last = conv(C, C), conv(C, 3)

    def forward(self, x: Tensor) -> Tensor:
        out = self.body(self.lrelu(self.conv_first(x)))
        for upconv in self.upconvs:
            out = self.lrelu(self.pixel_shuffle(upconv(out)))
        out = self.conv_last(self.lrelu(self.conv_hr(out)))
        out += F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return out


class StridedAttention(nn.Module):
    """ESA (RFANet, RFDN, RLFN): weights from a map reduced by a stride, enlarged again to the size that came in."""

    def __init__(self) -> None:
        super().__init__()
        few = C // 2
        self.conv1, self.conv_f, self.conv4 = conv(C, few, 1), conv(few, few, 1), conv(few, C, 1)
        self.conv2, self.conv3 = nn.Conv2d(few, few, 3, stride=2), conv(few, few)

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.conv1(x)
        small = F.max_pool2d(self.conv2(narrow), kernel_size=7, stride=3)
        small = F.interpolate(self.conv3(small), size=x.shape[2:], mode="bilinear", align_corners=False)
        return x * torch.sigmoid(self.conv4(small + self.conv_f(narrow)))


class RLFB(nn.Module):
    """RLFN's block: three convolutions, a skip, a 1x1 convolution, and the strided attention."""

    def __init__(self) -> None:
        super().__init__()
        self.c1_r, self.c2_r, self.c3_r, self.c5 = conv(C, C), conv(C, C), conv(C, C), conv(C, C, 1)
        self.act, self.esa = nn.LeakyReLU(0.05, inplace=True), StridedAttention()

    def forward(self, x: Tensor) -> Tensor:
        out = self.act(self.c3_r(self.act(self.c2_r(self.act(self.c1_r(x))))))
        return self.esa(self.c5(out + x))


class RLFN(nn.Module):
    """Blocks in attributes B1..B6, each with an attention over a strided map; a skip around all of them."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.conv_1, self.conv_2, self.upsampler = conv(3, C), conv(C, C), shuffle(scale)
        self.B1, self.B2, self.B3, self.B4, self.B5, self.B6 = (RLFB() for _ in range(6))

    def forward(self, x: Tensor) -> Tensor:
        feature = self.conv_1(x)
        out = self.B6(self.B5(self.B4(self.B3(self.B2(self.B1(feature))))))
        return self.upsampler(self.conv_2(out) + feature)


class TiedWeights(nn.Module):
    """One module twice in a Sequential, and other modules that share one weight of it."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        one, two, three = Residual(), Residual(), Residual()
        two.conv1.weight = three.conv2.weight = one.conv1.weight
        self.head, self.body, self.tail = conv(3, C), nn.Sequential(one, two, one, three), shuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        return self.tail(self.body(x) + x)


FIELD: dict[str, Callable[[int], nn.Module]] = {
    network.__name__: network for network in (EDSR, IMDN, CARN, RDN, MSRResNet, TiedWeights)
}
"""All but RLFN, whose attention needs 15 pixels a side and is not exact in patches: no law for every size."""
