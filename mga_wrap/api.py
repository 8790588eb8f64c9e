"""The front door: accelerate a network, or look at what could be cut."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mga_wrap.backbones.registry import describe_backbone
from mga_wrap.config import Amount, CoarseTail, CutConfig, Halo, Style
from mga_wrap.cut.anatomy import Anatomy, describe
from mga_wrap.cut.build import build
from mga_wrap.cut.cost import too_dear
from mga_wrap.cut.crossing import interface
from mga_wrap.errors import CostWarning
from mga_wrap.fitting.fit import fit as fit_network
from mga_wrap.fitting.sources import Images
from mga_wrap.graph.chain import Chain, find_chain
from mga_wrap.graph.trace import UntraceableError
from mga_wrap.nets.mga import MGANet
from mga_wrap.origin import Origin, origin_of, unwrapped


@torch.inference_mode(False)
def accelerate(
    model: nn.Module,
    *,
    split_at: str | int | float = "auto",
    k: Amount = 0.25,
    p: int | None = None,
    halo: Halo | None = None,
    style: Style = "pretrained",
    coarse_tail: CoarseTail = "auto",
    mask: Mapping[str, Any] | None = None,
    example: Tensor | None = None,
    fit: Images | None = None,
    seconds: float = 60.0,
) -> MGANet:
    """Cut a super-resolution network into a Base-Net for the whole image and a Refine-Net for its neediest patches.

    What each argument may be is said at `CutConfig`; a new network starts with what matters first.

    Args:
        model: any nn.Module lr -> sr that is built as a head, a chain of body blocks and an upsampling tail, or what
            spandrel's loader returns. It is never changed; the new network holds copies of its layers.
        split_at: how much of the network runs on the whole image. The first thing to choose: `inspect` prices each;
            "auto" takes as many blocks as an aim in MACs allows.
        k: how much is refined; can be changed at every call.
        coarse_tail: "light", or a "copy" of the network's own; "auto" takes the light one unless it costs too much.
            Either has to be fitted or trained.
        p: touch only if you must: larger patches are cheaper a pixel and select more coarsely.
        halo: touch only if you must: wider is closer to the original and dearer; "exact" is the original's patches.
        style: leave it for a network that is trained; "paper" is the published layout, to be trained from scratch.
        mask: for ablations.
        example: (B, 3, H, W), an image that the network takes, if it does not take (1, 3, 32, 24).
        fit: images to fit the network on, see `mga_wrap.fit`; without them it has to be fitted or trained before it
            is used, and says so.
        seconds: how long it is fitted.

    Returns:
        The accelerated network, in the mode (train or eval), dtype and on the device of the model.

    Warns:
        CostWarning: at this k it takes more multiply-accumulates than the model itself; not in style "paper".

    Raises:
        ArgumentError: an argument is out of its range.
        CutError: the network has no chain of blocks, or cannot be cut there; the message says what was found.

    Example:
        >>> import torch, mga_wrap as mga
        >>> model = mga.create_backbone("pan", scale=4).eval()
        >>> net = mga.accelerate(model, split_at=14, k=0.2, p=16)
        >>> lr = torch.rand(1, 3, 40, 60)
        >>> with torch.inference_mode():
        ...     print(tuple(net(lr).shape), torch.equal(net(lr, k="dense"), model(lr)))
        (1, 3, 160, 240) True
    """
    config = CutConfig(split_at, k, p, halo, style, coarse_tail, mask)  # type: ignore[arg-type]  # None: the default
    net, chain = _cut(model, config, example)
    if config.style == "pretrained" and (message := too_dear(chain, net.config)):
        warnings.warn(message, CostWarning, stacklevel=3)  # past the decorator: the caller's line
    if fit is not None:
        fit_network(net, fit, seconds=seconds)
    return net


def accelerate_as(model: nn.Module, config: CutConfig, *, example: Tensor | None = None) -> MGANet:
    """`accelerate` with its arguments in one, as checkpoints and trainings hold them; of costs it says nothing."""
    return _cut(model, config, example)[0]


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


@torch.inference_mode(False)
def inspect(model: nn.Module, *, example: Tensor | None = None) -> Anatomy:
    """Say what a network is made of, where it can be cut, and what a cut would cost.

    Args:
        model: any nn.Module lr -> sr; it is not changed.
        example: (B, 3, H, W), an image that the network takes, if it does not take (1, 3, 32, 24).

    Returns:
        The anatomy; print it.

    Raises:
        CutError: the network has no chain of blocks.

    Example:
        >>> import mga_wrap as mga
        >>> anatomy = mga.inspect(mga.create_backbone("pan", scale=4))
        >>> anatomy.scale, len(anatomy.blocks), anatomy.blocks[13].name
        (4, 16, 'SCPA_trunk.13')
    """
    model = unwrapped(model)
    try:
        chain = find_chain(model, example=example, sized=False)
        for count in range(1, len(chain.blocks)):
            interface(chain, count)
    except UntraceableError:
        chain = find_chain(model, example=example, sized=True)
    return describe(chain)
