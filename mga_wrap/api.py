"""The front door: accelerate a network, or look at what could be cut."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any, overload

import torch
from torch import Tensor, nn

from mga_wrap.config import Amount, CoarseTail, CutConfig, Halo, Style
from mga_wrap.cut.anatomy import Anatomy, describe
from mga_wrap.cut.crossing import interface
from mga_wrap.fitting.fit import fit as fit_network
from mga_wrap.fitting.sources import Images
from mga_wrap.graph.chain import find_chain
from mga_wrap.graph.trace import UntraceableError
from mga_wrap.making import CHOOSING, accelerate_and_doubt
from mga_wrap.nets.mga import MGANet
from mga_wrap.networks.load import Spec, load_network
from mga_wrap.origin import unwrapped
from mga_wrap.pair.outlook import Outlook, outlook


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
    base: nn.Module | Spec | None = None,
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
        base: a small network of the same scale that restores the whole image, in place of the first blocks of the
            model, which then refines as a whole: "fsrcnn-m-x4", any name, file or code that
            `mga_wrap.networks.load_network` takes, a module, or an accelerated network at its own k. It is never
            changed. Any model can be refined with so, a chain of blocks or not; split_at and coarse_tail say nothing
            then, and p and halo are measured on the images of `fit` unless they are given.

    Returns:
        The accelerated network, in the mode (train or eval), dtype and on the device of the model.

    Warns:
        CostWarning: at this k it takes more multiply-accumulates than the model itself; not in style "paper".
        RangeWarning: with a base: one of the two makes no image of a picture in 0..1: untrained, or of another range.

    Raises:
        ArgumentError: an argument is out of its range.
            The base is of another scale, of other channels or another range of values, or the model itself.
        CutError: the network has no chain of blocks, or cannot be cut there, or, with a base, takes no windows; the
            message says what was found.

    Example:
        >>> import torch, mga_wrap as mga
        >>> model = mga.create_backbone("pan", scale=4).eval()
        >>> net = mga.accelerate(model, split_at=14, k=0.2, p=16)
        >>> lr = torch.rand(1, 3, 40, 60)
        >>> with torch.inference_mode():
        ...     print(tuple(net(lr).shape), torch.equal(net(lr, k="dense"), model(lr)))
        (1, 3, 160, 240) True
        >>> pair = mga.accelerate(model, base="fsrcnn-m-x4", k=0.2)
        >>> with torch.inference_mode():
        ...     print(torch.equal(pair(lr, k="dense"), model(lr)))
        True
    """
    config = CutConfig(split_at, k, p, halo, style, coarse_tail, mask)  # type: ignore[arg-type]  # None: the default
    small = network_of(base)
    net, told = accelerate_and_doubt(model, config, base=small, example=example, images=fit, seconds=seconds)
    for warning in told:
        warnings.warn(warning, stacklevel=3)  # past the decorator: the caller's line
    if fit is not None:
        fit_network(net, fit, seconds=seconds if small is None else (1 - CHOOSING) * seconds)
    return net


def network_of(base: nn.Module | Spec | None) -> nn.Module | None:
    """The small network of a pair: itself, or what `load_network` makes of a name, a folder, a file or code."""
    return load_network(base) if isinstance(base, str | os.PathLike) else unwrapped(base)


@overload
def inspect(model: nn.Module, *, example: Tensor | None = None, base: None = None) -> Anatomy: ...
@overload
def inspect(model: nn.Module, *, example: Tensor | None = None, base: nn.Module | Spec) -> Outlook: ...


@torch.inference_mode(False)
def inspect(
    model: nn.Module, *, example: Tensor | None = None, base: nn.Module | Spec | None = None
) -> Anatomy | Outlook:
    """Say what a network is made of, where it can be cut, and what a cut would cost; or what a pair would.

    Args:
        model: any nn.Module lr -> sr; it is not changed.
        example: (B, 3, H, W), an image that the network takes, if it does not take (1, 3, 32, 24).
        base: a small network for a pair, as `accelerate` takes it.

    Returns:
        The anatomy, or with a base the outlook: cost, halo and the share that breaks even; print it.

    Raises:
        ArgumentError: model and base do not fit together.
        CutError: the network has no chain of blocks, or with a base takes no windows.

    Example:
        >>> import mga_wrap as mga
        >>> anatomy = mga.inspect(mga.create_backbone("pan", scale=4))
        >>> anatomy.scale, len(anatomy.blocks), anatomy.blocks[13].name
        (4, 16, 'SCPA_trunk.13')
        >>> outlook = mga.inspect(mga.create_backbone("pan", scale=4), base="fsrcnn-m-x4")
        >>> 0 < outlook.breaks_even(outlook.usual) < 1
        True
    """
    model, small = unwrapped(model), network_of(base)
    if small is not None:
        return outlook(model, small, example=example)
    try:
        chain = find_chain(model, example=example, sized=False)
        for count in range(1, len(chain.blocks)):
            interface(chain, count)
    except UntraceableError:
        chain = find_chain(model, example=example, sized=True)
    return describe(chain)
