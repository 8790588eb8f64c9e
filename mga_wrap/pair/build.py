"""From two networks and a `CutConfig` to an accelerated network, checked beside both."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mga_wrap.config import CutConfig
from mga_wrap.cut.build import new_layers_start_alike
from mga_wrap.cut.cost import mask_of
from mga_wrap.errors import ArgumentError, CutError, one_line
from mga_wrap.graph.trace import unchanged
from mga_wrap.nets.geometry import Geometry
from mga_wrap.nets.layouts import Crossing
from mga_wrap.nets.mga import MGANet
from mga_wrap.nets.pair import PAIR, PairBase, PairRefine, Small
from mga_wrap.origin import origin_of
from mga_wrap.pair.feature import with_feature
from mga_wrap.pair.meet import Met, check_two, meet
from mga_wrap.pair.windows import Window, Windows, sight_of

Choose = Callable[[nn.Module, nn.Module, list[Window], Met], Window]
"""What measures windows: (model, small, windows that are open, what is known) -> the best of them."""


def build_pair(
    model: nn.Module,
    small: nn.Module,
    config: CutConfig,
    *,
    example: Tensor | None = None,
    choose: Choose | None = None,
    backbone: dict[str, Any] | None = None,
    small_backbone: dict[str, Any] | None = None,
) -> tuple[MGANet, Met]:
    """Make a pair of copies of two networks.

    Args:
        model: the user's network, the whole Refine-Net.
        small: of the same scale; an `MGANet` is used at its own k.
        config: p, halo and k; it splits nothing.
        example: (B, C, H, W), an image that both take.
        choose: measures which windows are best, where p or halo is left open.
        backbone: the arguments of `create_backbone` that build the model, if it is one of ours.
        small_backbone: the same of the small network.

    Returns:
        The pair in eval mode, and what running both showed.

    Raises:
        ArgumentError: the two do not fit together, or config asks for a cut.
        CutError: the model takes no windows.
    """
    _check(config)
    large, little = copies(model, small)
    met = meet(large, little, example=example)
    p, halo = _window(large, little, config, met, choose)
    config = replace(config, split_at=PAIR, p=p, halo=halo)
    featured = with_feature(little, met.example)
    with torch.no_grad(), unchanged(featured):
        found = featured(met.example.clone())
    feature = found[1] if isinstance(found, tuple) else None
    channels = met.example.shape[1] if feature is None else feature.shape[1]
    with new_layers_start_alike():
        mask = mask_of(config, channels, scale=met.scale, zoom=met.scale).to(met.example)
    crossing = (Crossing("feature", for_score=True),) if feature is not None else ()
    geometry = Geometry(
        scale=met.scale,
        channels=met.example.shape[1],
        zoom=met.scale,
        border="shift",
        trim=halo,
        crossing=(*crossing, Crossing("lr", halo=halo)),
        original_macs=met.model_macs,
    )
    net = MGANet(
        PairBase(featured, writes=met.small_writes),
        mask,
        PairRefine(large, writes=met.model_writes),
        config=config,
        geometry=geometry,
        backbone=backbone,
        fitted=False,
        small=_recorded(small, small_backbone),
    ).eval()
    return _verified(net, large, little, met.example), met


def _recorded(small: nn.Module, backbone: dict[str, Any] | None) -> Small:
    if isinstance(small, MGANet):
        return Small(origin_of(small), backbone, small.config, small.geometry.example)
    return Small(origin_of(small), backbone)


def _check(config: CutConfig) -> None:
    if config.split_at not in ("auto", PAIR):
        raise ArgumentError(
            f"got split_at={config.split_at!r} with a base; a pair is not split, the whole model refines: leave one out"
        )
    if config.style != "pretrained":
        raise ArgumentError(f"got style={config.style!r} with a base; a pair is of trained networks: leave style out")
    if config.coarse_tail != "auto":
        raise ArgumentError(
            f"got coarse_tail={config.coarse_tail!r} with a base, which makes the coarse image itself: leave one out"
        )


def copies(model: nn.Module, small: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Copies in eval mode, of the model's dtype on its device.

    Raises:
        ArgumentError: they are not two networks.
        CutError: one of them cannot be copied.
    """
    check_two(model, small)
    try:
        large, little = copy.deepcopy(model).eval(), copy.deepcopy(small).eval()
    except Exception as error:  # whatever a module holds that cannot be copied
        raise CutError(
            f"a network of the pair cannot be copied ({one_line(error)}); remove what it cannot copy, e.g. with "
            "torch.nn.utils.remove_weight_norm"
        ) from error
    like = next((p for p in model.parameters() if p.is_floating_point()), None)
    return large, little if like is None else little.to(device=like.device, dtype=like.dtype)


def _window(model: nn.Module, small: nn.Module, config: CutConfig, met: Met, choose: Choose | None) -> tuple[int, int]:
    if config.halo == "exact":
        p, halo = sight_of(model, met.example, scale=met.scale).exact_halo(config)
        found = Windows(model, met.example).usual(replace(config, p=p, halo=halo))
        return found.p, found.halo
    windows = Windows(model, met.example)
    offered = windows.offered(config)
    best = windows.usual(config) if choose is None or len(offered) == 1 else choose(model, small, offered, met)
    return best.p, best.halo


@torch.no_grad()
def _verified(net: MGANet, model: nn.Module, small: nn.Module, example: Tensor) -> MGANet:
    """The pair, its windows made contiguous if the model wants that.

    Raises:
        CutError: it is not what the two networks are.
    """
    for k, alone in (("dense", model), (0, small)):
        with unchanged(alone), unchanged(net):
            expected, found = alone(example.clone()), net(example.clone(), k=k)
        if not bool(expected.isfinite().all()):
            raise CutError(
                f"{type(alone).__name__} returns values that are not finite for a picture of {tuple(example.shape)}; "
                "give an image in the range that it was trained on: example=..."
            )
        if not torch.equal(found, expected):
            raise CutError(
                f"the pair at k={k!r} does not return what {type(alone).__name__} does, by up to "
                f"{(found - expected).abs().max():.3g}: its forward depends on what it did before"
            )
    said, net.said_unfitted = net.said_unfitted, True
    try:
        try:
            net(example.clone(), k=2)
        except RuntimeError:  # windows are channels last; a block may ask for a view that only contiguous memory has
            net = net.with_cut(geometry=replace(net.geometry, contiguous=True))
            net.said_unfitted = True
            net(example.clone(), k=2)
    except Exception as error:  # whatever a forward does with a batch of windows
        raise CutError(
            f"the model fails on the windows of an image of {tuple(example.shape)}, p={net.p} and halo={net.halo} "
            f"({one_line(error)}); all windows of an image are refined as one batch: expected a network that takes "
            "batches, else try another p and halo"
        ) from error
    net.said_unfitted = said
    return net
