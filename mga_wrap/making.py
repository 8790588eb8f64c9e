"""From a network, or two, and a `CutConfig` to an accelerated network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mga_wrap.backbones.registry import describe_backbone
from mga_wrap.config import CutConfig
from mga_wrap.cut.build import build
from mga_wrap.cut.cost import too_dear
from mga_wrap.errors import CostWarning, RangeWarning
from mga_wrap.fitting.sources import Images
from mga_wrap.graph.chain import Chain, find_chain
from mga_wrap.graph.trace import UntraceableError
from mga_wrap.nets.mga import LARGEST_EXAMPLE, MGANet
from mga_wrap.origin import Origin, origin_of, unwrapped
from mga_wrap.pair.build import build_pair
from mga_wrap.pair.choose import chooser
from mga_wrap.pair.cost import pair_too_dear

CHOOSING = 0.15
"""Share of the time for fitting in which windows are chosen."""


@torch.inference_mode(False)
def accelerate_as(
    model: nn.Module,
    config: CutConfig,
    *,
    base: nn.Module | None = None,
    example: Tensor | None = None,
    images: Images | None = None,
    seconds: float = 60.0,
) -> MGANet:
    """`mga_wrap.accelerate` with its arguments in one, as checkpoints hold them; it warns of nothing.

    Args:
        model: the network.
        config: how it is cut, or with a base which windows and how many.
        base: a small network that becomes the Base-Net.
        example: (B, 3, H, W), an image that the networks take.
        images: on which a pair's windows are measured, where config leaves them open.
        seconds: for fitting; the windows take a part of it.
    """
    return accelerate_and_doubt(model, config, base=base, example=example, images=images, seconds=seconds)[0]


def accelerate_and_doubt(
    model: nn.Module,
    config: CutConfig,
    *,
    base: nn.Module | None = None,
    example: Tensor | None = None,
    images: Images | None = None,
    seconds: float = 60.0,
) -> tuple[MGANet, list[Warning]]:
    """`accelerate_as`, and what there is to warn of: more MACs than the model's, a doubtful range; often nothing."""
    model = unwrapped(model)
    if base is None:
        net, chain = _cut(model, config, example)
        net.geometry = replace(net.geometry, example=_shape(example))
        dear = too_dear(chain, net.config) if config.style == "pretrained" else ""
        return net, [CostWarning(dear)] if dear else []
    base = unwrapped(base)
    backbone = describe_backbone(model)
    choose = None if images is None else chooser(images, seconds=CHOOSING * seconds)
    net, met = build_pair(
        model,
        base,
        config,
        example=example,
        choose=choose,
        backbone=backbone,
        small_backbone=base.backbone if isinstance(base, MGANet) else describe_backbone(base),
    )
    net.origin = _origin(model, backbone)
    net.geometry = replace(net.geometry, example=_shape(example))
    dear = pair_too_dear(net, met)
    told: list[Warning] = [RangeWarning(met.doubt)] if met.doubt else []
    return net.train(model.training), [*told, CostWarning(dear)] if dear else told


def _shape(example: Tensor | None) -> tuple[int, ...] | None:
    return None if example is None or example.numel() > LARGEST_EXAMPLE else tuple(example.shape)


def _cut(model: nn.Module, config: CutConfig, example: Tensor | None) -> tuple[MGANet, Chain]:
    model = unwrapped(model)
    backbone = describe_backbone(model)
    try:  # torch.fx's own tracer first: its graph holds for every size, and can be exported so
        chain = find_chain(model, example=example, sized=False)
        net = build(model, chain, config, backbone=backbone)
    except UntraceableError:
        if config.style == "paper":
            raise
        chain = find_chain(model, example=example, sized=True)
        net = build(model, chain, config, backbone=backbone)
    net.fitted, net.origin = False, _origin(model, backbone)
    return net.train(model.training), chain


def _origin(model: nn.Module, backbone: dict[str, Any] | None) -> Origin:
    origin = origin_of(model)
    if origin.kind != "module" or backbone is None:
        return origin
    return replace(origin, kind="backbone", name=backbone["name"], args={"scale": backbone["scale"]})
