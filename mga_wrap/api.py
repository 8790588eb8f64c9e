"""The front door: accelerate a network, or look at what could be cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mga_wrap.backbones.registry import describe_backbone
from mga_wrap.cut.anatomy import Anatomy, describe, tail_of
from mga_wrap.cut.crossing import Interface, interface
from mga_wrap.cut.graphs import Split
from mga_wrap.cut.split import split_paper, split_pretrained
from mga_wrap.cut.windows import PATCH, Halo, Style, halo_of, patch_side
from mga_wrap.errors import ArgumentError, CutError, MGAError, nearest, one_line
from mga_wrap.graph.chain import Chain, find_chain
from mga_wrap.graph.trace import UntraceableError
from mga_wrap.nets.mask import MaskPredictor
from mga_wrap.nets.mga import Amount, Geometry, MGANet, check_amount

CoarseTail = Literal["copy", "light"] | int
DEEPEST = 64
"""Convolutions of a light tail: more are a mistake."""
BASE_SHARE = {"pretrained": 0.5, "paper": 0.75}
"""Share of the blocks that split_at="auto" leaves to the Base-Net."""
MASK_OPTIONS = ("dynamic", "map_channels", "resolution")
_PADS_NOTHING = Interface((), stride=1, zoom=1)


@torch.inference_mode(False)
def accelerate(
    model: nn.Module,
    *,
    split_at: str | int | float = "auto",
    k: Amount = 0.25,
    p: int | None = None,
    halo: Halo | None = None,
    style: Style = "pretrained",
    coarse_tail: CoarseTail = "copy",
    mask: Mapping[str, Any] | None = None,
    example: Tensor | None = None,
) -> MGANet:
    """Cut a super-resolution network into a Base-Net for the whole image and a Refine-Net for its neediest patches.

    Args:
        model: any nn.Module lr -> sr that is built as a head, a chain of body blocks and an upsampling tail. It is
            never changed; the new network holds copies of its layers.
        split_at: the last block of the Base-Net by its dotted name, a number of blocks, a share of them in (0, 1), or
            "auto" (half of them; in style "paper" three quarters).
        k: how much `MGANet.forward` refines unless told otherwise: patches an image (int), a share of them (float in
            (0, 1]), 0 or "base", "all", "dense".
        p: patch side in pixels of the feature; 16, or 4 in style "paper".
        halo: ring of feature pixels around each patch that the Refine-Net also sees; 2, or 1 in style "paper"; more
            where the network works in windows, of which p + 2 * halo has to be a multiple. "exact": the receptive
            field of the Refine-Net, so that refined patches are the original's.
        style: "pretrained" for a trained network: the Refine-Net is the rest of it with its own weights, and k="dense"
            is the original bit for bit. "paper" for the published layout, which has to be trained.
        coarse_tail: "copy": the Base-Net ends in a copy of the network's tail. "light": in a few convolutions at the
            feature's resolution and a PixelShuffle, for networks whose tail costs much; it gives a bilinear image
            until it is fitted (`fit_coarse_tail`) or trained. It has up to six convolutions before its last, for at
            most half of the MACs of the network's own tail; where not even one fits, a narrow one. A number: as
            many as that, whatever they cost.
        mask: options of `MaskPredictor`: dynamic, map_channels, resolution.
        example: (B, 3, H, W), an image that the network takes, if it does not take (1, 3, 32, 24).

    Returns:
        The accelerated network, in the mode (train or eval), dtype and on the device of the model.

    Raises:
        ArgumentError: an argument is out of its range.
        CutError: the network has no chain of blocks, or cannot be cut there; the message says what was found.
    """
    if not isinstance(style, str) or style not in PATCH:
        raise ArgumentError(f"got style={style!r}; expected 'pretrained' or 'paper'")
    for option in mask or ():
        if option not in MASK_OPTIONS:
            raise ArgumentError(f"mask: got {nearest(option, MASK_OPTIONS)}")
    wanted = _Wanted(
        split_at, check_amount(k), patch_side(p, style), halo, style, _check_tail(coarse_tail, style), dict(mask or {})
    )
    try:  # torch.fx's own tracer first: its graph holds for every size, and can be exported so
        net = _accelerate(model, find_chain(model, example=example, sized=False), wanted)
    except UntraceableError:
        if style == "paper":
            raise
        net = _accelerate(model, find_chain(model, example=example, sized=True), wanted)
    return net.train(model.training)


def _check_tail(tail: CoarseTail, style: Style) -> CoarseTail:
    if style == "pretrained":
        if tail in ("copy", "light") or (type(tail) is int and 1 <= tail <= DEEPEST):
            return tail
        expected = f"'copy', 'light', or a number of convolutions from 1 to {DEEPEST}"
    else:
        if tail == "copy":
            return tail
        expected = "'copy'"
    raise ArgumentError(f"got coarse_tail={tail!r}; in style {style!r} expected {expected}")


@dataclass(frozen=True)
class _Wanted:
    """The arguments of `accelerate`, checked."""

    split_at: str | int | float
    k: Amount
    p: int
    halo: Halo | None
    style: Style
    coarse_tail: CoarseTail
    mask: dict[str, Any]


def _accelerate(model: nn.Module, chain: Chain, wanted: _Wanted) -> MGANet:
    """Cut a chain as wanted, and check what came out."""
    style, p = wanted.style, wanted.p
    count = blocks_in_base(chain, wanted.split_at, style)
    with torch.random.fork_rng(devices=[]):  # the new layers start alike each time, whatever the caller has drawn
        torch.default_generator.manual_seed(0)
        with _building(chain, count):
            split, halo = _split(model, chain, count, wanted)
        mask = MaskPredictor(_channels(split, chain), p=p, **wanted.mask).to(chain.example)  # its dtype, device
    geometry = Geometry(
        scale=chain.scale,
        channels=chain.example.shape[1],
        p=p,
        halo=halo,
        border="shift" if style == "pretrained" else "zero",
        halos=split.halos,
        ratios=split.ratios,
        zoom=split.zoom,
        trim=split.trim,
    )
    recipe = {
        "backbone": describe_backbone(model),
        "split_at": chain.blocks[count - 1].name,
        "k": wanted.k,
        "p": p,
        "halo": halo,
        "style": style,
        "coarse_tail": wanted.coarse_tail,
        **({"mask": wanted.mask} if wanted.mask else {}),
    }
    net = MGANet(split.base, mask, split.refine, geometry=geometry, k=wanted.k, recipe=recipe)
    _check(net, chain, style)
    return net


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
    """
    try:
        chain = find_chain(model, example=example, sized=False)
        for count in range(1, len(chain.blocks)):
            interface(chain, count)
    except UntraceableError:
        chain = find_chain(model, example=example, sized=True)
    return describe(chain)


def blocks_in_base(chain: Chain, split_at: str | int | float, style: Style) -> int:
    """How many blocks the Base-Net gets.

    Raises:
        CutError: there is no such block; the message lists those that there are.
        ArgumentError: a share outside (0, 1).
    """
    names = [block.name for block in chain.blocks]
    shown = f"the network has {len(names)} blocks: {', '.join(names)}"
    if split_at == "auto":
        split_at = BASE_SHARE[style]
    if isinstance(split_at, str):
        if split_at not in names[:-1]:
            raise CutError(f"got split_at={split_at!r}; expected one of the blocks but the last; {shown}")
        return names.index(split_at) + 1
    if isinstance(split_at, float):
        if not 0 < split_at < 1:
            raise ArgumentError(f"got the share split_at={split_at}; expected a float between 0 and 1; {shown}")
        return min(max(round(split_at * len(names)), 1), len(names) - 1)
    if isinstance(split_at, bool) or not isinstance(split_at, int) or not 1 <= split_at < len(names):
        raise CutError(f"got split_at={split_at!r}; expected a number from 1 to {len(names) - 1}; {shown}")
    return split_at


def _split(model: nn.Module, chain: Chain, count: int, wanted: _Wanted) -> tuple[Split, int]:
    """The cut network and its halo."""
    if wanted.style == "paper":
        halo = halo_of(wanted.halo, p=wanted.p, style="paper", crosses=_PADS_NOTHING, reach=None)
        tail, block = (getattr(model, f"paper_refine_{part}", None) for part in ("tail", "block"))
        return split_paper(chain, count, halo=halo, refine_tail=tail, refine_block=block), halo
    crosses = interface(chain, count)
    reach, why = None, ""
    if wanted.halo == "exact":
        anatomy = describe(chain)
        reach, why = anatomy.reach_after(count), anatomy.inexact_after(count)
    halo = halo_of(wanted.halo, p=wanted.p, style="pretrained", crosses=crosses, reach=reach, why=why)
    light = None
    if wanted.coarse_tail != "copy":
        depth = None if wanted.coarse_tail == "light" else wanted.coarse_tail
        light = tail_of(chain, count, crosses, depth=depth).to(chain.example)
    return split_pretrained(chain, count, crosses, halo=halo, light=light), halo


def _channels(split: Split, chain: Chain) -> int:
    with torch.no_grad():
        _, feature, *_ = split.base(chain.example)
    return feature.shape[1]


@torch.no_grad()
def _check(net: MGANet, chain: Chain, style: Style) -> None:
    """Run the new network beside the original's copy: what was cut has to fit together again, at odd sizes too."""
    net.eval()
    model = chain.traced.model
    for lr in (chain.example, chain.example[..., :-3, :-5]):
        if 0 in lr.shape:
            continue
        try:
            expected = model(lr.clone())
        except Exception:  # the original does not take this size either, for whatever reason
            continue
        if not expected.is_meta and not expected.isfinite().all():
            raise CutError(
                f"{chain.name} returns values that are not finite for a picture of {tuple(lr.shape)} with values from "
                f"{lr.min():.3g} to {lr.max():.3g}; give an image in the range that it was trained on: example=..."
            )
        what = f"the original takes an image of {tuple(lr.shape)}, the cut network does not"
        with _telling(what, chain, lr, style):
            trace = net.trace(lr, k="dense")
            dense, patched = trace.sr, net(lr, k=2)  # two: as a batch of windows
        if dense.shape != expected.shape or patched.shape != expected.shape:
            raise CutError(
                f"the cut network returns {tuple(patched.shape)} for an image of {tuple(lr.shape)}, the original "
                f"{tuple(expected.shape)}; expected the same. Cut at another block, or give an example of another size."
            )
        if style == "pretrained" and not lr.is_meta:
            if not torch.equal(dense, expected):
                raise CutError(
                    "the cut network does not return what the original does, by up to "
                    f"{(dense - expected).abs().max():.3g}: its forward has a side effect that a graph does not hold"
                )
            _check_place(net, lr, expected, size=(trace.feature.shape[-2], trace.feature.shape[-1]))


def _check_place(net: MGANet, lr: Tensor, expected: Tensor, *, size: tuple[int, int]) -> None:
    """One window over the whole feature shows whether the image lies in its upper left corner, as patches assume.

    The median says so: at its right and lower border a window may see what the network cuts off before its tail.
    """
    geometry = net.geometry
    if (size[0] * geometry.zoom, size[1] * geometry.zoom) == expected.shape[-2:]:
        return
    net.geometry = replace(geometry, p=max(size), halos=(0,) * len(geometry.halos), halo=0, trim=0)
    try:
        error = (net(lr, k="all") - expected).abs().float().median()
    finally:
        net.geometry = geometry
    if error > 1e-2 * (expected - expected.mean()).abs().mean():
        raise CutError(
            f"a window over all of the feature does not give the image of {tuple(lr.shape)} back: the network pads it "
            "on all sides, or cuts off another part than it padded; expected padding at the right and at the bottom, "
            "if any. Pad outside of the network."
        )


@contextmanager
def _building(chain: Chain, count: int) -> Iterator[None]:
    try:
        yield
    except MGAError:
        raise
    except Exception as error:  # whatever a tail does with what replaces its inputs
        names = ", ".join(block.name for block in chain.blocks)
        raise CutError(
            f"{chain.name} cannot be cut after {count} of the blocks {names}: without the others its tail fails "
            f"({one_line(error)}). Expected a head, a chain of blocks and a tail, which U-Nets and up-and-down "
            "networks are not; try another split_at"
        ) from error


@contextmanager
def _telling(what: str, chain: Chain, lr: Tensor, style: Style) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever a block does with a size that it does not take
        reason = one_line(error)
        try:
            chain.traced.model(torch.cat([lr, lr]))
        except Exception as refused:  # nor does the original, for whatever reason
            raise CutError(
                f"{chain.name} fails on a batch of two images ({one_line(refused)}), and all windows of an image are "
                "refined as one batch; expected a network that takes batches"
            ) from error
        kind = UntraceableError if chain.pads else CutError  # recorded, it tells which sides its windows need
        raise kind(
            f"{what} ({reason}): style={style!r} does not fit this network; try a larger p or halo, another split_at "
            "or another style"
        ) from error
