"""A network that was cut, held against the original: what was cut has to fit together again, at odd sizes too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from mga_wrap.errors import CutError, one_line
from mga_wrap.graph.chain import Chain
from mga_wrap.graph.trace import UntraceableError
from mga_wrap.nets.mga import MGANet

MISPLACED = 1e-2
"""Median error, over the mean contrast, of an image that lies elsewhere than patches assume."""


class WindowError(CutError):
    """The network fails on windows of what it takes whole."""


@torch.no_grad()
def verify(net: MGANet, chain: Chain) -> None:
    """Run a new network, in eval mode, beside the original's copy, on the example and on one with odd sides.

    Raises:
        CutError: it does not take what the original takes, or returns something else.
    """
    for lr in (chain.example, chain.example[..., :-3, :-5]):
        if 0 in lr.shape:
            continue
        try:
            expected = chain.traced.model(lr.clone())
        except Exception:  # the original does not take this size either, for whatever reason
            continue
        if not expected.is_meta and not expected.isfinite().all():
            raise CutError(
                f"{chain.name} returns values that are not finite for a picture of {tuple(lr.shape)} with values from "
                f"{lr.min():.3g} to {lr.max():.3g}; give an image in the range that it was trained on: example=..."
            )
        _verify_on(net, chain, lr, expected)


def _verify_on(net: MGANet, chain: Chain, lr: Tensor, expected: Tensor) -> None:
    with _failing_as_cut_error(net, chain, lr):
        trace = net.trace(lr, k="dense")
        dense, patched = trace.sr, net(lr, k=2)  # two: as a batch of windows
    if wrong := [tuple(one.shape) for one in (dense, patched) if one.shape != expected.shape]:
        raise CutError(
            f"the cut network returns {wrong[0]} for an image of {tuple(lr.shape)}, the original "
            f"{tuple(expected.shape)}; expected the same. Cut at another block, or give an example of another size."
        )
    if net.config.style == "pretrained" and not lr.is_meta:
        _verify_values(dense, expected)
        _verify_place(net, lr, expected, size=(trace.feature.shape[-2], trace.feature.shape[-1]))


def _verify_values(dense: Tensor, expected: Tensor) -> None:
    if not torch.equal(dense, expected):
        raise CutError(
            "the cut network does not return what the original does, by up to "
            f"{(dense - expected).abs().max():.3g}: its forward has a side effect that a graph does not hold"
        )


def _verify_place(net: MGANet, lr: Tensor, expected: Tensor, *, size: tuple[int, int]) -> None:
    """One window over the whole feature shows whether the image lies in its upper left corner, as patches assume.

    The median says so: at its right and lower border a window may see what the network cuts off before its tail.
    """
    geometry = net.geometry
    if (size[0] * geometry.zoom, size[1] * geometry.zoom) == expected.shape[-2:]:
        return
    without_halo = tuple(replace(one, halo=0) for one in geometry.crossing)
    one_window = net.with_cut(
        config=replace(net.config, p=max(size)), geometry=replace(geometry, crossing=without_halo, trim=0)
    )
    misplaced = CutError(
        f"a window over all of the feature does not give the image of {tuple(lr.shape)} back: the network pads it "
        "on all sides, or cuts off another part than it padded; expected padding at the right and at the bottom, "
        "if any. Pad outside of the network."
    )
    try:
        error = (one_window(lr, k="all") - expected).abs().float().median()
    except Exception as failed:  # a window that is padded again and cropped, so that its image is no longer there
        raise misplaced from failed
    if error > MISPLACED * (expected - expected.mean()).abs().mean():
        raise misplaced


@contextmanager
def _failing_as_cut_error(net: MGANet, chain: Chain, lr: Tensor) -> Iterator[None]:
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
        kind = UntraceableError if chain.pads else WindowError  # recorded, it tells which sides its windows need
        raise kind(
            f"the original takes an image of {tuple(lr.shape)}, the cut network does not ({reason}): "
            f"style={net.config.style!r} does not fit this network; try a larger p or halo, another split_at or "
            "another style"
        ) from error
