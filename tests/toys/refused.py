"""Toy networks that cannot be cut, or not refined in windows: no chain of like blocks, or one image at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from toys.plain import C, LongSkip, Residual, conv, shuffle


class UNet(nn.Module):
    """Down, across and up again: no two blocks in a row work on the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.enc1, self.enc2, self.enc3 = conv(3, C), conv(C, 2 * C), conv(2 * C, 4 * C)
        self.dec2, self.dec1 = conv(4 * C, 2 * C), conv(2 * C, C)
        self.out = shuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        one = F.relu(self.enc1(x))
        two = F.relu(self.enc2(F.max_pool2d(one, 2)))
        three = F.relu(self.enc3(F.max_pool2d(two, 2)))
        up = F.relu(self.dec2(F.interpolate(three, scale_factor=2.0))) + two
        return self.out(F.relu(self.dec1(F.interpolate(up, scale_factor=2.0))) + one)


class UpProjection(nn.Module):
    """Up, and the error of going down again added (D-DBPN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fuse = conv(channels, C, 1)
        self.up, self.again = (nn.ConvTranspose2d(C, C, 6, stride=2, padding=2) for _ in range(2))
        self.down = nn.Conv2d(C, C, 6, stride=2, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fuse(x)
        up = F.relu(self.up(x))
        return up + F.relu(self.again(F.relu(self.down(up)) - x))


class DownProjection(UpProjection):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.up, self.again = (nn.Conv2d(C, C, 6, stride=2, padding=2) for _ in range(2))
        self.down = nn.ConvTranspose2d(C, C, 6, stride=2, padding=2)


class DDBPN(nn.Module):
    """Up and down in turns, each on all of its kind before; the last takes every enlarged map."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.tail = conv(3, C), conv(3 * C, 3)
        self.ups = nn.ModuleList([UpProjection(C), UpProjection(C), UpProjection(2 * C)])
        self.downs = nn.ModuleList([DownProjection(C), DownProjection(2 * C)])

    def forward(self, x: Tensor) -> Tensor:
        low, high = [self.head(x)], []
        for up, down in zip(self.ups, [*self.downs, None], strict=True):
            high.append(up(torch.cat(low[1:] or low, dim=1)))
            if down is not None:
                low.append(down(torch.cat(high, dim=1)))
        return self.tail(torch.cat(high, dim=1))


class OneImageOnly(LongSkip):
    """Chooses what to do by the one image that it is given (an expert for each)."""

    def __init__(self, scale: int) -> None:
        super().__init__(scale)
        self.body = nn.Sequential(*[Chooses() for _ in range(4)])


class Chooses(Residual):
    def forward(self, x: Tensor) -> Tensor:
        if x.mean(dim=(1, 2, 3)) > 1e9:  # of one image this is one value
            return x
        return super().forward(x)
