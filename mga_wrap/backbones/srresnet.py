"""SRResNet (Ledig et al., CVPR 2017) without batch normalisation: residual blocks between 9x9 convolutions."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mga_wrap.backbones.registry import register_backbone
from mga_wrap.errors import ArgumentError

SCALES = (2, 3, 4)
BN_EPS = 1e-5
"""What torch's batch normalisation adds to the variance unless told otherwise."""


class ResidualConvBlock(nn.Module):
    """Two 3x3 convolutions with a PReLU between them, beside a skip.

    Where the published network normalises there is an nn.Identity, so that the convolutions keep their numbers.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rcb = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.Identity(),
            nn.PReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.Identity(),
        )

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Refine feature (B, C, H, W); the shape stays."""
        change: torch.Tensor = self.rcb(feature)
        return feature + change


class UpsampleBlock(nn.Module):
    """Convolution, PixelShuffle and PReLU."""

    def __init__(self, channels: int, *, factor: int) -> None:
        super().__init__()
        self.upsample_block = nn.Sequential(
            nn.Conv2d(channels, channels * factor**2, 3, padding=1), nn.PixelShuffle(factor), nn.PReLU()
        )

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Enlarge feature (B, C, H, W) to (B, C, factor * H, factor * W)."""
        larger: torch.Tensor = self.upsample_block(feature)
        return larger


@register_backbone("srresnet")
class SRResNet(nn.Module):
    """The generator of SRGAN without batch normalisation, as the paper has it; each PReLU has one slope.

    Names are those of SRGAN-PyTorch (Lornatang), the most used code with the original layers (9x9 head and tail, 16
    blocks, PReLU); BasicSR's MSRResNet is another network (3x3 head and tail, no body convolution). Checkpoints with
    batch normalisation load too, strictly: `load_state_dict` folds it into the convolution before it, which gives
    what that network gives in eval mode (up to the clamp to 0..1 that stands at its end, and not here).

    Args:
        scale: 2, 3 or 4.
        nf: channels of the body.
        nb: number of residual blocks.
        channels: channels of the image.

    Raises:
        ArgumentError: ``scale`` is not 2, 3 or 4.

    Source: paper section 4, which builds its Base-Net (12 blocks) and Refine-Net (4 blocks) from this network. Its
    parameter counts, to the digit, are those of PReLUs with one slope each.
    """

    def __init__(self, *, scale: int, nf: int = 64, nb: int = 16, channels: int = 3) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ArgumentError(f"got scale={scale!r} for SRResNet; expected one of {SCALES}")
        self.scale = scale
        self.conv1 = nn.Sequential(nn.Conv2d(channels, nf, 9, padding=4), nn.PReLU())
        self.trunk = nn.Sequential(*[ResidualConvBlock(nf) for _ in range(nb)])
        self.conv2 = nn.Sequential(nn.Conv2d(nf, nf, 3, padding=1), nn.Identity())
        steps = (2, 2) if scale == 4 else (scale,)
        self.upsampling = nn.Sequential(*[UpsampleBlock(nf, factor=step) for step in steps])
        self.conv3 = nn.Conv2d(nf, channels, 9, padding=4)

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """Enlarge lr (B, channels, H, W), values in 0..1, to (B, channels, scale * H, scale * W)."""
        shallow = self.conv1(lr)  # (B, nf, H, W)
        feature = shallow + self.conv2(self.trunk(shallow))
        sr: torch.Tensor = self.conv3(self.upsampling(feature))
        return sr

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Fold batch normalisation while loading; the dict is torch's own copy of the caller's."""
        fold_batch_norm(state_dict, prefix=prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)


@torch.no_grad()
def fold_batch_norm(state_dict: dict[str, Any], *, prefix: str = "") -> None:
    """Put each batch normalisation, number n of an nn.Sequential, into the convolution with number n - 1.

    Args:
        state_dict: names to tensors, changed in place; without batch normalisation it stays as it is.
        prefix: only names that start with it are looked at.
    """
    ending = ".running_mean"
    for name in [key.removesuffix(ending) for key in state_dict if key.startswith(prefix) and key.endswith(ending)]:
        parent, _, number = name.rpartition(".")
        conv = f"{parent}.{int(number) - 1}"
        mean, variance, weight, bias = (
            state_dict.pop(f"{name}.{key}") for key in ("running_mean", "running_var", "weight", "bias")
        )
        state_dict.pop(f"{name}.num_batches_tracked", None)
        factor = weight / torch.sqrt(variance + BN_EPS)  # (C,)
        before = state_dict.get(f"{conv}.bias", torch.zeros_like(mean))
        state_dict[f"{conv}.weight"] = state_dict[f"{conv}.weight"] * factor.view(-1, 1, 1, 1)
        state_dict[f"{conv}.bias"] = bias + (before - mean) * factor
