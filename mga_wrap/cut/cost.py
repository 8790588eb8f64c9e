"""What a cut costs, counted, and from that: the cut and the coarse tail that "auto" takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from mga_wrap.config import CutConfig
from mga_wrap.cut.crossing import Interface, feature_channels, interface
from mga_wrap.graph.chain import Chain
from mga_wrap.graph.trace import descendants, fact
from mga_wrap.nets.light import LightTail, depth_within
from mga_wrap.nets.mask import MaskPredictor
from mga_wrap.nets.mga import SHOWN_SIZE
from mga_wrap.nets.patches import grid_size, patch_count
from mga_wrap.nets.score import ScorePredictor

TAILS: tuple[Literal["copy", "light"], ...] = ("copy", "light")
LIGHT = 0.5
"""MACs of a light coarse tail, at most, over those of the network's own (but see `LightTail`, which has a least)."""
DEAR = 0.2
"""A light tail with more of the network's MACs than this is dear: coarse_tail="auto" takes a copy where that has less.
"""
TARGET = 0.6
"""What split_at="auto" aims at: MACs over the original's, ..."""
AT_SHARE = 0.2
"""... at this share of refined patches."""
LEAST = 0.25
"""Share of the blocks that the Base-Net gets at least, where that saves anything: fewer make no image worth having."""


@dataclass(frozen=True)
class Costs:
    """MACs per lr pixel of the parts of a network, and of what a cut adds."""

    head: float
    blocks: tuple[float, ...]
    tail: float
    light: float
    """Of a light coarse tail."""
    score: float
    """Of what predicts the errors, for each patch, over the lr pixels of a feature pixel."""
    mask: float = 0.0
    """Of what predicts the errors, for each pixel: nothing, but in the paper's mask predictor."""

    @property
    def original(self) -> float:
        """The network's own."""
        return self.head + sum(self.blocks) + self.tail

    def over_original(self, count: int, *, share: float, p: int, halo: int, coarse_tail: str | int) -> float:
        """MACs after a cut over those of the original, the predictor's among them.

        Args:
            count: blocks in the Base-Net.
            share: refined patches over all patches, 0 to 1.
            p: patch side.
            halo: ring around each patch.
            coarse_tail: of the Base-Net, "copy" or a light one.
        """
        ahead = self.head + sum(self.blocks[:count])
        behind = sum(self.blocks[count:]) + self.tail
        tail = self.tail if coarse_tail == "copy" else self.light
        predictor = self.mask + self.score / p**2 if share else 0
        return (ahead + tail + predictor + share * ((p + 2 * halo) / p) ** 2 * behind) / self.original

    def usual_tail(self) -> Literal["copy", "light"]:
        """What coarse_tail="auto" means: a light one, which is fitted better (docs/scheme.md), unless it is dear."""
        return "light" if self.light <= max(self.tail, DEAR * self.original) else "copy"

    def usual_count(self, *, p: int, halo: int, coarse_tail: str | int) -> int:
        """What split_at="auto" means: as many blocks as `TARGET` allows, but at least `LEAST` of them.

        More blocks in the Base-Net make a better coarse image, and a dearer network. Where even the least costs more
        than the network itself, those of the cheapest cut.
        """
        cuts = range(1, len(self.blocks))
        cost = {
            count: self.over_original(count, share=AT_SHARE, p=p, halo=halo, coarse_tail=coarse_tail) for count in cuts
        }
        least = min(math.ceil(LEAST * len(self.blocks)), len(self.blocks) - 1)
        if cost[least] >= 1:
            return min(cuts, key=cost.__getitem__)
        return max((count for count in cuts if cost[count] <= TARGET and count > least), default=least)


def costs_of(chain: Chain, crosses: Interface, *, config: CutConfig | None = None) -> Costs:
    """Count a chain; nothing is run.

    Args:
        chain: the network.
        crosses: what crosses a cut of it.
        config: of the cut; says what predicts the errors and, as a number, how deep a light tail is.
    """
    config = config or CutConfig()
    nodes = [node for node in chain.traced.graph.nodes if node.op != "output"]
    batch, _, height, width = chain.example.shape
    pixels = batch * height * width
    behind = descendants([chain.blocks[-1].end])
    tail = sum(fact(node).macs for node in nodes if node in behind)
    blocks = [block.macs for block in chain.blocks]
    head = sum(fact(node).macs for node in nodes) - sum(blocks) - tail
    channels, area = feature_channels(chain, 1, crosses), crosses.stride**2
    depth = config.coarse_tail if isinstance(config.coarse_tail, int) else None
    with torch.device("meta"):  # shapes are all that is counted, and the caller's random state stays as it is
        predictor = mask_of(config, channels, scale=chain.scale, zoom=crosses.zoom)
        light = tail_of(chain, 1, crosses, depth=depth)
    costs = Costs(
        head=head / pixels,
        blocks=tuple(macs / pixels for macs in blocks),
        tail=tail / pixels,
        light=_weights(light) / area,
        score=_weights(predictor) / area,
    )
    if isinstance(predictor, MaskPredictor) and predictor.resolution == "full":
        return replace(costs, score=0.0, mask=costs.score)
    return costs


def too_dear(chain: Chain, config: CutConfig) -> str:
    """What is to be said of a cut that takes more MACs than the original at its own k; empty of any other.

    Args:
        chain: the network.
        config: of the network that was cut, in style "pretrained", with nothing left open.
    """
    names = [block.name for block in chain.blocks]
    count, tail, halo = names.index(str(config.split_at)) + 1, config.coarse_tail, config.halo
    if config.k == "auto":  # how much that is depends on the images
        return ""
    assert isinstance(halo, int)
    crosses = interface(chain, count)
    costs = costs_of(chain, crosses, config=config)
    if config.k in ("all", "dense"):  # nothing to choose, so nothing is predicted
        costs = replace(costs, score=0.0, mask=0.0)
    width, height = SHOWN_SIZE
    patches = math.prod(grid_size(height // crosses.stride, width // crosses.stride, config.p))
    share = 1.0 if config.k == "dense" else patch_count(config.k, patches) / patches
    halo = 0 if config.k == "dense" else halo  # the whole map at once

    def cost(count: int, tail: str | int) -> float:
        return costs.over_original(count, share=share, p=config.p, halo=halo, coarse_tail=tail)

    if (own := cost(count, tail)) <= 1:
        return ""
    others = [(cost(1, one), one) for one in dict.fromkeys((tail, *TAILS))]
    least, cheapest = min(others, key=lambda pair: pair[0])
    advice = f"split_at={names[0]!r}, coarse_tail={cheapest!r} takes {least:.2f} of it"
    if least > 1:
        advice = "no cut of this network takes less at this k, so take a smaller one, or the original"
    return (
        f"cut after {config.split_at} with coarse_tail={tail!r} and k={config.k!r}, {chain.name} takes "
        f"{own * costs.original:,.0f} MACs per lr pixel, the original {costs.original:,.0f}; {advice}. "
        "mga_wrap.inspect(model) prices every cut"
    )


def tail_of(chain: Chain, count: int, crosses: Interface, *, depth: int | None = None) -> LightTail:
    """A light coarse tail after `count` blocks, for at most `LIGHT` of the MACs of the network's own.

    Args:
        chain: the network.
        count: blocks in the Base-Net.
        crosses: what crosses the cut.
        depth: as many convolutions as this, whatever they cost.
    """
    channels = feature_channels(chain, count, crosses)
    batch, image_channels, height, width = chain.example.shape
    if depth is None:
        own = sum(fact(node).macs for node in descendants([chain.blocks[-1].end]) if node.op != "output")
        budget = LIGHT * own * crosses.stride**2 / (batch * height * width)
        depth = depth_within(budget, channels, image_channels, zoom=crosses.zoom)
    return LightTail(channels, image_channels, scale=chain.scale, zoom=crosses.zoom, depth=depth)


def mask_of(config: CutConfig, channels: int, *, scale: int, zoom: int) -> MaskPredictor | ScorePredictor:
    """What predicts the error of each patch."""
    if config.mask_kind == "statistics":
        return ScorePredictor(channels, scale=scale, zoom=zoom)
    return MaskPredictor(channels, **{name: value for name, value in config.mask.items() if name != "kind"})


def _weights(module: nn.Module) -> int:
    """Weights of convolutions: their MACs a pixel. The mask predictor's dynamic kernel is worth less than one."""
    return sum(weight.numel() for weight in module.parameters() if weight.ndim == 4 and weight.shape[1] > 1)
