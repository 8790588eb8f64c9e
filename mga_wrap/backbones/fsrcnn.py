"""FSRCNN (Dong et al., ECCV 2016) with three channels in and out: the smallest of the backbones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from mga_wrap.backbones.registry import register_backbone
from mga_wrap.errors import ArgumentError

SCALES = (2, 3, 4)


@register_backbone("fsrcnn")
class FSRCNN(nn.Module):
    """Shrink, map at low resolution, expand, and enlarge with one transposed convolution.

    A fresh network already enlarges: every layer passes the image through its first ``channels`` channels and the
    transposed convolution interpolates them, so training starts at the quality of bilinear interpolation.

    Public FSRCNNs enlarge Y alone: `FSRCNN(scale=..., channels=1)` reads the checkpoints of FSRCNN-pytorch strictly.

    Args:
        scale: 2, 3 or 4.
        d: channels of the head and of the upsampler's input.
        s: channels of the body (the coarse feature).
        m: number of body blocks, each a 3x3 convolution and a PReLU with a slope a channel.
        channels: channels of the image, at most ``s``.

    Raises:
        ArgumentError: ``scale`` is not 2, 3 or 4, or ``channels`` does not fit into ``s`` and ``d``.

    Source: paper section 4 (d=56, s=12; B has m=3) for the layers; the initialisation is this project's own.
    """

    def __init__(self, *, scale: int, d: int = 56, s: int = 12, m: int = 4, channels: int = 3) -> None:
        super().__init__()
        if scale not in SCALES:
            raise ArgumentError(f"got scale={scale!r} for FSRCNN; expected one of {SCALES}")
        if not 1 <= channels <= min(s, d):
            raise ArgumentError(f"got channels={channels} with s={s} and d={d}; expected 1 <= channels <= min(s, d)")
        self.scale = scale
        self.head = nn.Sequential(nn.Conv2d(channels, d, 5, padding=2), nn.PReLU(d))
        self.shrink = nn.Sequential(nn.Conv2d(d, s, 1), nn.PReLU(s))
        self.body = nn.Sequential(*[nn.Sequential(nn.Conv2d(s, s, 3, padding=1), nn.PReLU(s)) for _ in range(m)])
        self.expand = nn.Sequential(nn.Conv2d(s, d, 1), nn.PReLU(d))
        self.upsampler = nn.ConvTranspose2d(d, channels, 9, stride=scale, padding=4, output_padding=scale - 1)
        self._initialise(channels)

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        """Enlarge lr (B, channels, H, W), values in 0..1, to (B, channels, scale * H, scale * W)."""
        feature = self.body(self.shrink(self.head(lr)))  # (B, s, H, W)
        sr: torch.Tensor = self.upsampler(self.expand(feature))
        return sr

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As of any module; the names of FSRCNN-pytorch (yjn870) are read, too."""
        if "first_part.0.weight" in state_dict:
            state_dict = _our_names(state_dict, blocks=len(self.body))
        return super().load_state_dict(state_dict, strict=strict, assign=assign)

    def _initialise(self, channels: int) -> None:
        """Pass the image through the first ``channels`` channels; small random weights everywhere else."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                start_as_identity(module, channels)
        start_as_bilinear(self.upsampler, channels)


@torch.no_grad()
def start_as_identity(conv: nn.Conv2d, channels: int) -> None:
    """Let the first ``channels`` outputs of ``conv`` copy its first inputs; the other outputs start random.

    The random part is kaiming-normal for the PReLU's first slope of 0.25, times 0.7 to stay small beside the image.
    """
    nn.init.kaiming_normal_(conv.weight, a=0.25, nonlinearity="leaky_relu")
    conv.weight.mul_(0.7)
    nn.init.dirac_(conv.weight[:channels])  # 1 at the centre tap of the input of the same number, 0 elsewhere
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


@torch.no_grad()
def start_as_bilinear(deconv: nn.ConvTranspose2d, channels: int) -> None:
    """Let ``deconv`` enlarge its first ``channels`` inputs bilinearly, a channel each; the others add almost nothing.

    The kernel is that of ``F.interpolate(mode="bilinear", align_corners=False)``, cut to the taps that there are (one
    of eight is missing at x4) and normalised for each output phase, so that a constant stays a constant.
    """
    stride, size, padding = deconv.stride[0], deconv.kernel_size[0], int(deconv.padding[0])
    offset = torch.arange(size, dtype=torch.float64) - padding  # output pixel minus stride times input pixel
    taps = (1 - ((offset + 0.5) / stride - 0.5).abs()).clamp(min=0)
    for phase in range(stride):
        taps[phase::stride] /= taps[phase::stride].sum()
    nn.init.normal_(deconv.weight, std=0.001)  # (in, out, size, size)
    deconv.weight[:channels] = 0.0
    for channel in range(channels):
        deconv.weight[channel, channel] = torch.outer(taps, taps).to(deconv.weight.dtype)
    if deconv.bias is not None:
        nn.init.zeros_(deconv.bias)


@torch.no_grad()
def start_as_nearest(deconv: nn.ConvTranspose2d, *, channels: int) -> None:
    """Let ``deconv`` enlarge its first ``channels`` inputs by repeating pixels, a channel each.

    Nothing reaches over a pixel's own square, so that patches enlarged one by one show no seams at the start.
    """
    stride, padding = deconv.stride[0], int(deconv.padding[0])
    own = slice(padding, padding + stride)
    deconv.weight[:channels] = 0.0
    for channel in range(channels):
        deconv.weight[channel, channel, own, own] = 1.0


def _our_names(theirs: Mapping[str, Any], *, blocks: int) -> dict[str, Any]:
    """A state dict by the names of FSRCNN-pytorch (first_part, mid_part, last_part), renamed; others stay."""
    ours = {"first_part.0": "head.0", "first_part.1": "head.1", "last_part": "upsampler"}
    middle = ["shrink.0", "shrink.1"]
    middle += [f"body.{block}.{layer}" for block in range(blocks) for layer in (0, 1)]
    ours |= {f"mid_part.{place}": name for place, name in enumerate([*middle, "expand.0", "expand.1"])}
    renamed = {}
    for name, value in theirs.items():
        module, _, kind = name.rpartition(".")
        renamed[f"{ours.get(module, module)}.{kind}"] = value
    return renamed
