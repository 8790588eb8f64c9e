"""RCAN (Zhang et al., ECCV 2018): very deep, residual in residual, each block weighed by channel attention."""

from __future__ import annotations

import torch
from torch import nn

from mga_wrap.backbones.registry import register_backbone
from mga_wrap.errors import ArgumentError

SCALES = (2, 3, 4)
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
"""Mean colour of DIV2K's training images in 0..1, which networks of the EDSR family subtract."""


class MeanShift(nn.Conv2d):
    """A fixed 1x1 convolution that adds ``sign`` times the mean colour to an image in 0..``rgb_range``."""

    def __init__(self, rgb_range: float, *, sign: int) -> None:
        super().__init__(3, 3, 1)
        with torch.no_grad():
            self.weight.copy_(torch.eye(3).view(3, 3, 1, 1))
            self.bias.copy_(sign * rgb_range * torch.tensor(DIV2K_MEAN))  # type: ignore[union-attr]
        self.requires_grad_(False)


class CALayer(nn.Module):
    """Channel attention: every channel is weighed by what two 1x1 convolutions say of all channels' means."""

    def __init__(self, n_feats: int, *, reduction: int) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.conv_du = nn.Sequential(
            nn.Conv2d(n_feats, n_feats // reduction, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(n_feats // reduction, n_feats, 1),
            nn.Sigmoid(),
        )

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Weigh feature (B, C, H, W) by (B, C, 1, 1); the shape stays."""
        weighed: torch.Tensor = feature * self.conv_du(self.avg_pool(feature))
        return weighed


class RCAB(nn.Module):
    """Residual channel attention block: two convolutions and the attention, beside a skip."""

    def __init__(self, n_feats: int, *, reduction: int, res_scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n_feats, n_feats, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(n_feats, n_feats, 3, padding=1),
            CALayer(n_feats, reduction=reduction),
        )
        self.res_scale = res_scale

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Refine feature (B, C, H, W); the shape stays."""
        change: torch.Tensor = self.body(feature)
        return feature + (change if self.res_scale == 1 else change * self.res_scale)


class ResidualGroup(nn.Module):
    """A row of RCABs and a convolution, beside a skip."""

    def __init__(self, n_feats: int, *, n_resblocks: int, reduction: int, res_scale: float) -> None:
        super().__init__()
        blocks = [RCAB(n_feats, reduction=reduction, res_scale=res_scale) for _ in range(n_resblocks)]
        self.body = nn.Sequential(*blocks, nn.Conv2d(n_feats, n_feats, 3, padding=1))

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Refine feature (B, C, H, W); the shape stays."""
        change: torch.Tensor = self.body(feature)
        return feature + change


@register_backbone("rcan")
class RCAN(nn.Module):
    """Residual channel attention network; names are those of the authors' code, whose checkpoints load strictly.

    The authors' checkpoints (``RCAN_BIX2.pt`` and so on) were trained on values in 0..255 with the mean colour taken
    off: they load into ``RCAN(scale=..., rgb_range=255)``. In and out the network speaks 0..1 all the same.

    Args:
        scale: 2, 3 or 4.
        n_resgroups: number of residual groups, the blocks of the body.
        n_resblocks: RCABs a group.
        n_feats: channels of the body.
        reduction: channels over those inside the attention.
        res_scale: factor on what an RCAB adds.
        rgb_range: None: no ``sub_mean`` and ``add_mean``, as in the paper. A number: the layers inside see values in
            0..rgb_range less the mean colour of DIV2K.

    Raises:
        ArgumentError: ``scale`` is not 2, 3 or 4, or ``rgb_range`` is not positive.

    Source: paper section 4, which builds its Base-Net (7 groups) and Refine-Net (3 groups) from this network.
    """

    def __init__(
        self,
        *,
        scale: int,
        n_resgroups: int = 10,
        n_resblocks: int = 20,
        n_feats: int = 64,
        reduction: int = 16,
        res_scale: float = 1.0,
        rgb_range: float | None = None,
    ) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ArgumentError(f"got scale={scale!r} for RCAN; expected one of {SCALES}")
        if rgb_range is not None and not rgb_range > 0:
            raise ArgumentError(f"got rgb_range={rgb_range} for RCAN; expected None or a positive number, e.g. 255")
        self.scale = scale
        self.rgb_range = rgb_range
        self.res_scale = res_scale
        groups = [
            ResidualGroup(n_feats, n_resblocks=n_resblocks, reduction=reduction, res_scale=res_scale)
            for _ in range(n_resgroups)
        ]
        if rgb_range is not None:
            self.sub_mean = MeanShift(rgb_range, sign=-1)
            self.add_mean = MeanShift(rgb_range, sign=1)
        self.head = nn.Sequential(nn.Conv2d(3, n_feats, 3, padding=1))
        self.body = nn.Sequential(*groups, nn.Conv2d(n_feats, n_feats, 3, padding=1))
        self.tail = nn.Sequential(enlarger(n_feats, scale=scale), nn.Conv2d(n_feats, 3, 3, padding=1))

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """Enlarge lr (B, 3, H, W), values in 0..1, to (B, 3, scale * H, scale * W)."""
        if self.rgb_range is not None:
            lr = self.sub_mean(lr * self.rgb_range)
        shallow = self.head(lr)  # (B, n_feats, H, W)
        sr: torch.Tensor = self.tail(self.body(shallow) + shallow)
        if self.rgb_range is not None:
            sr = self.add_mean(sr) / self.rgb_range
        return sr

    def extra_repr(self) -> str:
        """What print(model) does not show by the layers."""
        return f"res_scale={self.res_scale:g}, rgb_range={self.rgb_range}"


def enlarger(n_feats: int, *, scale: int) -> nn.Sequential:
    """Convolution and PixelShuffle; x4 in two steps of 2: (B, C, H, W) to (B, C, scale * H, scale * W)."""
    layers: list[nn.Module] = []
    for step in (2, 2) if scale == 4 else (scale,):
        layers += [nn.Conv2d(n_feats, n_feats * step**2, 3, padding=1), nn.PixelShuffle(step)]
    return nn.Sequential(*layers)
