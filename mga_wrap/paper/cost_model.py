"""What a published network costs at any size of image: a formula whose coefficients `mga_wrap.paper.counted` finds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from mga_wrap.paper.facts import PATCH, PIXELS, REFINED


@dataclass(frozen=True)
class MapCost:
    """MACs on a map of H x W: per_pixel * H * W + per_side * (H + W) + once.

    Only RFDN has a part in H + W: its attention's convolutions are unpadded and strided. Their floor divisions are
    replaced by their mean over all sizes, which a side that 12 divides has.
    """

    per_pixel: Fraction
    per_side: Fraction
    once: Fraction

    @classmethod
    def through(cls, sides: Sequence[int], macs: Sequence[int]) -> MapCost:
        """The cost whose values on three squares are the given ones.

        Args:
            sides: of the squares, pixels.
            macs: on each of them.
        """
        near, middle, far = sides
        of_near, of_middle, of_far = macs
        first, second = Fraction(of_middle - of_near, middle - near), Fraction(of_far - of_middle, far - middle)
        per_pixel = (second - first) / (far - near)
        slope = first - per_pixel * (near + middle)  # H + W is twice a square's side
        return cls(per_pixel, per_side=slope / 2, once=of_near - per_pixel * near**2 - slope * near)

    def of_mean(self, pixels: Decimal) -> float:
        """MACs of an image of so many pixels whose sides are as 4 to 3."""
        sides = (math.sqrt(4 / 3) + math.sqrt(3 / 4)) * math.sqrt(pixels)  # H + W
        return float(self.per_pixel * Fraction(pixels) + self.once) + float(self.per_side) * sides


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
