"""What the paper's networks cost by the paper's own rule.

The scheme's four variants of a backbone are one network here, `accelerate(style="paper")`, called in four ways: B is
k=0, D "dense", A "all" and M a number. Source: the paper's supplement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache

import torch

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.counting import activations_by_module, count_activations, count_parameters, macs_by_module
from mga_wrap.errors import ArgumentError
from mga_wrap.nets.mga import MGANet

CUTS = {"FSRCNN": 3, "PAN": 12, "RFDN": 4, "SRResNet": 12, "RCAN": 7}
"""Blocks in the Base-Net; the Refine-Net has 1, 4, 2, 4 and 3 more."""
VARIANTS = ("B", "D", "A", "M")
PATCH = 4
"""Side of the tables' patches in lr pixels."""

PIXELS: dict[str, dict[int, Decimal]] = {
    name: {scale: Decimal(text) for scale, text in zip((2, 3, 4), texts.split(), strict=True)}
    for name, texts in {
        "Set5": "28304 12294.4 6998.4",
        "Set14": "57317.71 25059.43 14276.57",
        "B100": "38400 16640 9600",
        "Urban100": "193323.36 85180.32 48089.92",
        "Manga109": "240210.15 105364.7 59473.9",
        "Test2K": "447488.75 198884.2 111872.15",
        "Test4K": "1716825.5 763033.2 429206.4",
    }.items()
}
"""Mean lr pixels of a test set's images, HR cropped to multiples of 4 * scale. The last three are not public: one
number a set and scale, fitted to all figures of that set."""
REFINED = {name: 240 if name in ("Set5", "Set14", "B100") else 1000 for name in PIXELS}
"""K: patches that M refines in an image of each test set."""


@dataclass(frozen=True)
class MapCost:
    """MACs on a map of H x W: area * H * W + sides * (H + W) + once.

    Only RFDN has a part in H + W: its attention's convolutions are unpadded and strided. Their floor divisions are
    replaced by their mean over all sizes, which a side that 12 divides has.
    """

    area: Fraction
    sides: Fraction
    once: Fraction

    def of_mean(self, pixels: Decimal) -> float:
        """MACs of an image of so many pixels whose sides are as 4 to 3."""
        around = math.sqrt(4 / 3) + math.sqrt(3 / 4)
        return float(self.area * Fraction(pixels) + self.once) + float(self.sides) * around * math.sqrt(pixels)


@dataclass(frozen=True)
class PaperCost:
    """A backbone in the published layout at one scale, counted by the paper's convention."""

    base: MapCost
    """The Base-Net."""
    refine: MapCost
    """The Refine-Net on the whole feature map, as in D."""
    patch: int
    """The Refine-Net on one window."""
    mask: Fraction
    """Mask prediction, MACs per lr pixel."""
    parameters: dict[str, int]
    """By variant."""

    def macs(self, variant: str, *, dataset: str, scale: int, k: int | None = None) -> float:
        """Mean MACs of a variant on a test set's images; k is the set's unless given."""
        pixels = PIXELS[dataset][scale]
        base, area = self.base.of_mean(pixels), float(pixels)
        if variant == "D":
            return base + self.refine.of_mean(pixels)
        if variant == "A":
            return base + self.patch * area / PATCH**2
        if variant == "M":
            return base + float(self.mask) * area + self.patch * (REFINED[dataset] if k is None else k)
        return base


def mask_macs(channels: int, *, p: int = PATCH) -> Fraction:
    """MACs per lr pixel that the paper's tables hold for mask prediction: 9 C² + (C + 9 C) / p².

    A formula and not a count, because no published module costs that: a 3x3 convolution C -> C on the whole map, then,
    at 1/p of the resolution, a ReLU and a 3x3 convolution C -> 1. Table 5 fixes it to the digit. The tables count
    neither a second channel nor the dynamic convolution's kernels, which the text and the parameters do have, so
    `MaskPredictor` itself costs a little more: by the paper's rule 9 C² + 18 C + 25 / p².
    """
    return Fraction(9 * channels**2) + Fraction(10 * channels, p**2)


def mask_activations(channels: int, *, p: int = PATCH) -> Fraction:
    """Values that convolutions put out per lr pixel for mask prediction, as `mask_macs`: C + 1 / p²."""
    return channels + Fraction(1, p**2)


@cache
def paper_net(network: str, scale: int) -> MGANet:
    """Build a network of the tables in the published layout, on the meta device: layers without values.

    Raises:
        ArgumentError: the tables do not have it.
    """
    if network not in CUTS:
        raise ArgumentError(f"got network {network!r}; expected one of {', '.join(CUTS)}")
    with torch.random.fork_rng(devices=[]):
        model = create_backbone(network.lower(), scale=scale)
        # A small image: what is cut does not depend on it, and RCAN takes a while on a larger one.
        net = accelerate(model, split_at=CUTS[network], style="paper", example=torch.rand(1, 3, _IMAGE, _IMAGE))
    return net.to("meta").eval()


_IMAGE = 16
"""Side of the smallest lr image that all five take: 16 patches."""
_SIDES = (24, 36, 48)
"""Squares that fix a `MapCost`; multiples of 12 for the sake of RFDN's floor divisions."""


def count_at(network: str, scale: int, height: int, width: int, *, variant: str = "D") -> dict[str, int]:
    """MACs of the parts "base" and "refine" for one lr image, by the paper's convention.

    Args:
        network: a key of `CUTS`.
        scale: 2, 3 or 4.
        height: of the lr image.
        width: of the lr image.
        variant: "D": the Refine-Net runs on the whole map; "A": on every patch; "B": not at all.
    """
    net = paper_net(network, scale)
    lr = torch.empty(1, 3, height, width, device="meta")
    k = {"B": 0, "D": "dense", "A": "all"}[variant]
    macs = macs_by_module(net, lr, convention="paper", k=k)
    return {part: macs[part] for part in ("base", "refine")}


@cache
def activations_at(network: str, scale: int, height: int, width: int) -> tuple[int, int, Fraction]:
    """Values that convolutions put out: by the Base-Net for an lr image, for one patch, for predicting its mask."""
    net = paper_net(network, scale)
    lr = torch.empty(1, 3, height, width, device="meta")
    patch = activations_by_module(net, lr, k=1)["refine"]
    mask = mask_activations(net.mask.conv1.in_channels) * height * width
    return count_activations(net.base, lr), patch, mask


@cache
def paper_cost(network: str, scale: int) -> PaperCost:
    """Count a network of the tables: its parts' MACs by the paper's convention, its variants' parameters."""
    net = paper_net(network, scale)
    whole = [count_at(network, scale, side, side) for side in _SIDES]
    patched = count_at(network, scale, _IMAGE, _IMAGE, variant="A")
    parts = {name: count_parameters(getattr(net, name)) for name in ("base", "refine", "mask")}
    both = parts["base"] + parts["refine"]
    return PaperCost(
        base=_through([macs["base"] for macs in whole]),
        refine=_through([macs["refine"] for macs in whole]),
        patch=patched["refine"] // (_IMAGE // PATCH) ** 2,
        mask=mask_macs(net.mask.conv1.in_channels),
        parameters={"B": parts["base"], "D": both, "A": both, "M": both + parts["mask"]},
    )


def _through(macs: list[int]) -> MapCost:
    """The cost whose values on squares of `_SIDES` are the given ones."""
    one, two, three = macs
    near, mid, far = _SIDES
    first, second = Fraction(two - one, mid - near), Fraction(three - two, far - mid)
    area = (second - first) / (far - near)
    slope = first - area * (near + mid)  # of the side: twice the part in H + W
    return MapCost(area=area, sides=slope / 2, once=one - area * near**2 - slope * near)
