"""RFDN (Liu et al., ECCVW 2020): residual feature distillation, all blocks fused before the upsampler."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import nn

from mga_wrap.backbones.registry import register_backbone
from mga_wrap.errors import ArgumentError

SCALES = (2, 3, 4)
_SLOPE = 0.05


class ESA(nn.Module):
    """Enhanced spatial attention: every value is weighed by what a strided, pooled view of its neighbourhood says.

    The view takes maps of at least 15 x 15: a strided 3x3 convolution leaves 7 x 7 of them, all that ``pool`` needs.

    Args:
        channels: channels in and out.
        f: channels of the attention.
    """

    def __init__(self, channels: int, *, f: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, f, 1)
        self.conv_f = nn.Conv2d(f, f, 1)
        self.conv_max = nn.Conv2d(f, f, 3, padding=1)
        self.conv2 = nn.Conv2d(f, f, 3, stride=2)
        self.conv3 = nn.Conv2d(f, f, 3, padding=1)
        self.conv3_ = nn.Conv2d(f, f, 3, padding=1)
        self.conv4 = nn.Conv2d(f, channels, 1)
        self.pool: nn.Module = nn.MaxPool2d(7, stride=3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Weigh feature (B, C, H, W), H and W at least 15 (3 without the pooling); the shape stays."""
        narrow = self.conv1(feature)  # (B, f, H, W)
        view = self.pool(self.conv2(narrow))  # (B, f, about H / 6, about W / 6)
        view = self.conv3_(self.relu(self.conv3(self.relu(self.conv_max(view)))))
        view = F.interpolate(view, size=feature.shape[-2:], mode="bilinear", align_corners=False)
        return feature * torch.sigmoid(self.conv4(view + self.conv_f(narrow)))


class RFDB(nn.Module):
    """Distillation block: three times a 1x1 convolution keeps half of the channels, a 3x3 one goes on with a skip.

    Args:
        nf: channels in and out.
    """

    def __init__(self, nf: int) -> None:
        super().__init__()
        kept = nf // 2
        self.c1_d = nn.Conv2d(nf, kept, 1)
        self.c1_r = nn.Conv2d(nf, nf, 3, padding=1)
        self.c2_d = nn.Conv2d(nf, kept, 1)
        self.c2_r = nn.Conv2d(nf, nf, 3, padding=1)
        self.c3_d = nn.Conv2d(nf, kept, 1)
        self.c3_r = nn.Conv2d(nf, nf, 3, padding=1)
        self.c4 = nn.Conv2d(nf, kept, 3, padding=1)
        self.act = nn.LeakyReLU(_SLOPE)
        self.c5 = nn.Conv2d(4 * kept, nf, 1)
        self.esa = ESA(nf, f=nf // 4)

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Refine feature (B, nf, H, W), H and W at least 15; the shape stays."""
        rest1 = self.act(self.c1_r(feature) + feature)  # (B, nf, H, W)
        rest2 = self.act(self.c2_r(rest1) + rest1)
        rest3 = self.act(self.c3_r(rest2) + rest2)
        kept = (self.c1_d(feature), self.c2_d(rest1), self.c3_d(rest2), self.c4(rest3))  # each (B, nf / 2, H, W)
        weighed: torch.Tensor = self.esa(self.c5(torch.cat([self.act(part) for part in kept], dim=1)))
        return weighed


@register_backbone("rfdn")
class RFDN(nn.Module):
    """Residual feature distillation network; names are those of the published checkpoints, which load strictly.

    Args:
        scale: 2, 3 or 4.
        nf: channels of the body.
        num_modules: number of RFDB blocks, ``B1`` to ``Bn`` (4 in the checkpoint ``RFDN_AIM.pth``).
        channels: channels of the image.
        rgb_range: the layers see values in 0..rgb_range, the network itself speaks 0..1 (``RFDN_AIM.pth``: 255).

    Raises:
        ArgumentError: ``scale`` is not 2, 3 or 4, there is no block, or ``rgb_range`` is not positive.

    Source: paper section 4, which builds its Base-Net (4 blocks) and Refine-Net (2 blocks) from this network.
    """

    def __init__(
        self, *, scale: int, nf: int = 50, num_modules: int = 6, channels: int = 3, rgb_range: float = 1.0
    ) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ArgumentError(f"got scale={scale!r} for RFDN; expected one of {SCALES}")
        if num_modules < 1:
            raise ArgumentError(f"got num_modules={num_modules} for RFDN; expected at least one block")
        if not rgb_range > 0:
            raise ArgumentError(f"got rgb_range={rgb_range} for RFDN; expected a positive number, e.g. 255")
        self.scale = scale
        self.rgb_range = rgb_range
        self.num_modules = num_modules
        self.fea_conv = nn.Conv2d(channels, nf, 3, padding=1)
        for number in range(1, num_modules + 1):
            self.add_module(f"B{number}", RFDB(nf))
        self.c = nn.Sequential(nn.Conv2d(num_modules * nf, nf, 1), nn.LeakyReLU(_SLOPE))
        self.LR_conv = nn.Conv2d(nf, nf, 3, padding=1)
        self.upsampler = nn.Sequential(nn.Conv2d(nf, channels * scale**2, 3, padding=1), nn.PixelShuffle(scale))

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """Enlarge lr (B, channels, H, W), values in 0..1, sides of at least 15, to (B, channels, scale*H, scale*W)."""
        shallow = self.fea_conv(lr if self.rgb_range == 1 else lr * self.rgb_range)  # (B, nf, H, W)
        feature, distilled = shallow, []
        for number in range(1, self.num_modules + 1):
            feature = self.get_submodule(f"B{number}")(feature)
            distilled.append(feature)
        fused = self.LR_conv(self.c(torch.cat(distilled, dim=1))) + shallow  # (B, nf, H, W)
        sr: torch.Tensor = self.upsampler(fused)
        return sr if self.rgb_range == 1 else sr / self.rgb_range

    def extra_repr(self) -> str:
        """What print(model) does not show by the layers."""
        return f"rgb_range={self.rgb_range:g}"

    @staticmethod
    def paper_refine_block(block: nn.Module) -> nn.Module:
        """Return a copy of a block as the paper's Refine-Net has it: its attention does not pool.

        A window of 6 x 6 is 2 x 2 after the attention's strided convolution, nothing to pool over. The paper leaves
        the pooling out in variant D, on the whole map, too (section 4).
        """
        block = copy.deepcopy(block)
        for module in block.modules():
            if isinstance(module, ESA):
                module.pool = nn.Identity()
        return block
