"""What an accelerated network costs, part by part, in every unit that anyone counts in."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from mga_wrap.config import Amount
from mga_wrap.counting import activations_by_module, count_activations, count_macs, count_parameters, macs_by_module
from mga_wrap.nets.mga import PARTS, MGANet
from mga_wrap.nets.patches import grid_size, patch_count


@dataclass(frozen=True)
class Cost:
    """What one part costs for one lr image."""

    parameters: int
    """Each counted once, whether this k runs them or not."""
    macs: int
    """Multiply-accumulates of convolutions and matrix products, see `count_macs`."""
    macs_paper: int
    """By the rule behind the paper's FLOPs, applied to the layers that there are. The paper's own tables count less for
    mask prediction than its module costs, see `mga_wrap.paper.cost_model.mask_macs`."""
    activations: int
    """Values that convolutions put out, see `count_activations`."""

    def __add__(self, other: Cost) -> Cost:
        """Both together."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return Cost(*(one + two for one, two in pairs))


@dataclass(frozen=True)
class CostTable:
    """What a network costs for one lr image at one k."""

    height: int
    """Of the lr image, pixels."""
    width: int
    """Of the lr image, pixels."""
    k: Amount
    """How much is refined."""
    patches: int
    """Patches that the image has."""
    refined: int
    """Patches that are refined; all of them where the whole map is refined at once ("dense")."""
    base: Cost
    """The Base-Net, its tail included."""
    mask: Cost
    """The mask predictor; no MACs where k leaves nothing to choose."""
    refine: Cost
    """The Refine-Net."""
    original: Cost | None
    """The user's network on the same image, where it was given."""

    @property
    def total(self) -> Cost:
        """Base, mask and refine together."""
        return self.base + self.mask + self.refine

    @property
    def share(self) -> float:
        """Refined patches over all, 0 to 1."""
        return self.refined / self.patches

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the fields, with `total` and `share`."""
        return {**asdict(self), "total": asdict(self.total), "share": self.share}


def cost_table(
    net: MGANet, height: int, width: int, *, k: Amount | None = None, original: nn.Module | None = None
) -> CostTable:
    """Count everything for one lr image, by running each part on the meta device: no image is too large.

    Args:
        net: the network; it is left as it is.
        height: of the lr image, pixels.
        width: of the lr image, pixels.
        k: how much is refined, see `MGANet.without_image`; None is the network's own.
        original: the network that was accelerated, (B, 3, H, W) -> (B, 3, s*H, s*W), for the row beside.

    Raises:
        ArgumentError: k is none of what it may be.
    """
    k = net.without_image(k)
    hollow, lr = net.hollow(height, width)
    with torch.no_grad():
        _, feature, *_ = hollow.base(lr)
    gh, gw = grid_size(feature.shape[-2], feature.shape[-1], net.p)
    macs = macs_by_module(hollow, lr, k=k)
    macs_paper = macs_by_module(hollow, lr, k=k, convention="paper")
    activations = activations_by_module(hollow, lr, k=k)
    costs = {
        part: Cost(count_parameters(getattr(net, part)), macs[part], macs_paper[part], activations[part])
        for part in PARTS
    }
    beside = None if original is None else _cost(copy.deepcopy(original).to("meta"), lr)
    return CostTable(height, width, k, gh * gw, patch_count(k, gh * gw), **costs, original=beside)


def _cost(module: nn.Module, *inputs: Any) -> Cost:
    return Cost(
        parameters=count_parameters(module),
        macs=count_macs(module, *inputs),
        macs_paper=count_macs(module, *inputs, convention="paper"),
        activations=count_activations(module, *inputs),
    )
