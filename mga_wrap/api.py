"""The front door: accelerate a network, or look at what could be cut."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from mga_wrap.backbones.registry import describe_backbone
from mga_wrap.cut.anatomy import Anatomy, describe
from mga_wrap.cut.chain import Chain, find_chain
from mga_wrap.cut.graphs import Split
from mga_wrap.cut.split import split_continue, split_paper
from mga_wrap.cut.trace import first_line
from mga_wrap.errors import ArgumentError, CutError
from mga_wrap.nets.mask import MaskPredictor
from mga_wrap.nets.mga import Amount, Geometry, MGANet, check_amount

Style = Literal["continue", "paper"]

PATCH = {"continue": (16, 2), "paper": (4, 1)}
"""(p, halo) of a style unless they are given."""
BASE_SHARE = {"continue": 0.5, "paper": 0.75}
"""Share of the blocks that split_at="auto" leaves to the Base-Net."""


@torch.inference_mode(False)
def accelerate(
    model: nn.Module,
    *,
    split_at: str | int | float = "auto",
    k: Amount = 0.25,
    p: int | None = None,
    halo: int | None = None,
    style: Style = "continue",
    coarse_tail: Literal["copy"] = "copy",
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
        halo: ring of feature pixels around each patch that the Refine-Net also sees; 2, or 1 in style "paper".
        style: "continue" for a trained network: the Refine-Net is the rest of it with its own weights, and k="dense"
            is the original bit for bit. "paper" for the published layout, which has to be trained.
        coarse_tail: "copy": the Base-Net ends in a copy of the network's tail.
        example: (B, 3, H, W), an image that the network takes, if it does not take (1, 3, 32, 24).

    Returns:
        The accelerated network, in the mode (train or eval), dtype and on the device of the model.

    Raises:
        ArgumentError: an argument is out of its range.
        CutError: the network has no chain of blocks, or cannot be cut there; the message says what was found.
    """
    if not isinstance(style, str) or style not in PATCH:
        raise ArgumentError(f"got style={style!r}; expected 'continue' or 'paper'")
    if coarse_tail != "copy":
        raise ArgumentError(f"got coarse_tail={coarse_tail!r}; expected 'copy'")
    p = _at_least("p", p, PATCH[style][0], 1)
    halo = _at_least("halo", halo, PATCH[style][1], 0)
    k = check_amount(k)
    chain = find_chain(model, example=example)
    count = blocks_in_base(chain, split_at, style)
    with torch.random.fork_rng(devices=[]):  # the new layers start alike each time, whatever the caller has drawn
        torch.default_generator.manual_seed(0)
        split = _split(model, chain, count, style, halo)
        mask = MaskPredictor(_channels(split, chain), p=p).to(chain.example)  # its dtype, device
    geometry = Geometry(
        scale=chain.scale,
        channels=chain.example.shape[1],
        p=p,
        halo=halo,
        border="shift" if style == "continue" else "zero",
        halos=split.halos,
        trim=split.trim,
    )
    recipe = {
        "backbone": describe_backbone(model), "split_at": chain.blocks[count - 1].name, "k": k, "p": p, "halo": halo,
        "style": style, "coarse_tail": coarse_tail,
    }  # fmt: skip
    net = MGANet(split.base, mask, split.refine, geometry=geometry, k=k, recipe=recipe)
    _check(net, chain, style)
    return net.train(model.training)


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
    return describe(find_chain(model, example=example))


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


def _at_least(name: str, value: int | None, default: int, least: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentError(f"got {name}={value!r}; expected a whole number of pixels, at least {least}")
    return value


def _split(model: nn.Module, chain: Chain, count: int, style: Style, halo: int) -> Split:
    if style == "continue":
        return split_continue(chain, count, halo=halo)
    return split_paper(
        chain, count, halo=halo, refine_tail=getattr(model, "paper_refine_tail", None),
        refine_block=getattr(model, "paper_refine_block", None),
    )  # fmt: skip


def _channels(split: Split, chain: Chain) -> int:
    with torch.no_grad():
        _, feature, *_ = split.base(chain.example)
    return feature.shape[1]


@torch.no_grad()
def _check(net: MGANet, chain: Chain, style: Style) -> None:
    """Run the new network beside the original's copy: what was cut has to fit together again, at odd sizes too."""
    net.eval()
    for lr in (chain.example, chain.example[..., :-3, :-5]):
        if 0 in lr.shape:
            continue
        try:
            expected = chain.traced(lr.clone())
        except Exception:  # the original does not take this size either, for whatever reason
            continue
        try:
            dense, patched = net(lr, k="dense"), net(lr, k="all")
        except Exception as error:  # whatever a block does with a size that it does not take
            hint = (
                f"style={style!r} does not fit this network; try a larger p or halo, another split_at or another style"
                if lr is chain.example
                else "its forward pads or crops the image to whole windows (do that outside the network), or it "
                "needs larger windows than p and halo give"
            )
            raise CutError(
                f"the original takes an image of {tuple(lr.shape)}, the cut network does not "
                f"({first_line(error)}): {hint}"
            ) from error
        if dense.shape != expected.shape or patched.shape != expected.shape:
            raise CutError(
                f"the cut network returns {tuple(patched.shape)} for an image of {tuple(lr.shape)}, the original "
                f"{tuple(expected.shape)}; expected the same. Cut at another block, or give an example of another size."
            )
        if style == "continue" and not lr.is_meta and not torch.equal(dense, expected):
            raise CutError(
                "the cut network does not return what the original does, by up to "
                f"{(dense - expected).abs().max():.3g}: its forward has a side effect that a graph does not hold"
            )
