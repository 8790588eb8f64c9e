"""The paper's networks, counted by the paper's own rule.

The scheme's four variants of a backbone are one network here, `accelerate(style="paper")`, called in four ways: B is
k=0, D "dense", A "all" and M a number. Source: the paper's supplement.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import NamedTuple

import torch

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.counting import activations_by_module, count_activations, count_parameters, macs_by_module
from mga_wrap.errors import ArgumentError
from mga_wrap.nets.mask import MaskPredictor
from mga_wrap.nets.mga import MGANet
from mga_wrap.paper.cost_model import MapCost, PaperCost, mask_activations, mask_macs
from mga_wrap.paper.facts import CUTS, PATCH

_SIDE = 16
"""Of the smallest lr image that all five take: 16 patches."""
_SQUARES = (24, 36, 48)
"""Sides of squares that fix a `MapCost`; multiples of 12 for the sake of RFDN's floor divisions."""


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
        net = accelerate(model, split_at=CUTS[network], style="paper", example=torch.rand(1, 3, _SIDE, _SIDE))
    return net.to("meta").eval()


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


class Activations(NamedTuple):
    """Values that convolutions put out for an lr image."""

    base: int
    """By the Base-Net."""
    patch: int
    """By the Refine-Net for one patch."""
    mask: Fraction
    """For predicting the mask."""


@cache
def activations_at(network: str, scale: int, height: int, width: int) -> Activations:
    """Count the activations of a network of the tables on an lr image of this size."""
    net = paper_net(network, scale)
    lr = torch.empty(1, 3, height, width, device="meta")
    patch = activations_by_module(net, lr, k=1)["refine"]
    mask = mask_activations(_channels(net)) * height * width
    return Activations(count_activations(net.base, lr), patch, mask)


@cache
def paper_cost(network: str, scale: int) -> PaperCost:
    """Count a network of the tables: its parts' MACs by the paper's convention, its variants' parameters."""
    net = paper_net(network, scale)
    on_squares = [count_at(network, scale, side, side) for side in _SQUARES]
    on_patches = count_at(network, scale, _SIDE, _SIDE, variant="A")
    parts = {name: count_parameters(getattr(net, name)) for name in ("base", "refine", "mask")}
    dense = parts["base"] + parts["refine"]
    return PaperCost(
        base=MapCost.through(_SQUARES, [macs["base"] for macs in on_squares]),
        refine=MapCost.through(_SQUARES, [macs["refine"] for macs in on_squares]),
        patch=on_patches["refine"] // (_SIDE // PATCH) ** 2,
        mask=mask_macs(_channels(net)),
        parameters={"B": parts["base"], "D": dense, "A": dense, "M": dense + parts["mask"]},
    )


def _channels(net: MGANet) -> int:
    """C of the feature: in style "paper" the mask predictor's convolutions have it."""
    assert isinstance(net.mask, MaskPredictor)
    return net.mask.conv1.in_channels
