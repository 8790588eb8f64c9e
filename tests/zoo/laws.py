"""The laws of style "pretrained" on a network, for cuts near its first block, in the middle and before its last."""

from __future__ import annotations

import torch
from study import accelerate, cuts_of, image
from torch import Tensor, nn

import mga_wrap as mga
from mga_wrap.cut.anatomy import Anatomy
from mga_wrap.nets.patches import grid_size

SIZES = (37, 45), (38, 46), (48, 32)
"""Odd sides, sides for networks that halve the image, sides for networks that take whole windows only."""


@torch.no_grad()
def enlarge(net: nn.Module, lr: Tensor, **how: object) -> Tensor:
    return net(lr.clone(), **how)


def check_laws(model: nn.Module, anatomy: Anatomy, middle: mga.MGANet, *, cuts: list[int] | None = None) -> None:
    """Laws 1 to 4 and 7 for three cuts, 6 and 8 for the middle one; in the dtype of the network."""
    lr, expected = first_taken(model)
    middle_count = len(anatomy.blocks) // 2
    for count in cuts or cuts_of(anatomy):
        net = middle if count == middle_count else accelerate(model, anatomy, count)
        check_dense_and_coarse(net, lr, expected)
        check_patches(net, lr)
        if anatomy.reach_after(count) is not None:
            check_exact(net, model, lr, k="all" if count == len(anatomy.blocks) - 1 else 2)
    check_batch(middle, lr)
    check_twice(middle, accelerate(model, anatomy, middle_count), lr)


def first_taken(model: nn.Module) -> tuple[Tensor, Tensor]:
    """The first size that the original takes, and what it makes of it (law 7 speaks of these sizes)."""
    for size in SIZES:
        lr = image(1, *size).to(next(model.parameters()).dtype)
        try:
            return lr, enlarge(model, lr)
        except (AssertionError, RuntimeError):
            continue
    raise AssertionError(f"the original takes none of the sizes {SIZES}")


def check_dense_and_coarse(net: mga.MGANet, lr: Tensor, expected: Tensor) -> None:
    """Laws 1 and 3; coarse differs from sr, or they would say nothing."""
    assert torch.equal(enlarge(net, lr, k="dense"), expected)
    with torch.no_grad():
        coarse = net.trace(lr.clone(), k=0.5).coarse
    assert torch.equal(enlarge(net, lr, k=0), coarse)
    assert (coarse - expected).abs().max() > 1e-4


def check_patches(net: mga.MGANet, lr: Tensor) -> None:
    """Laws 4 and 7."""
    with torch.no_grad():
        trace = net.trace(lr.clone(), k=3)
    _, _, height, width = lr.shape
    assert trace.sr.shape == (1, 3, net.scale * height, net.scale * width)
    inside = refined_pixels(net, trace).expand_as(trace.sr)
    assert torch.equal(trace.sr[~inside], trace.coarse[~inside])
    assert not torch.equal(trace.sr[inside], trace.coarse[inside])


def refined_pixels(net: mga.MGANet, trace: mga.MGATrace) -> Tensor:
    gh, gw = grid_size(*trace.feature.shape[-2:], net.p)
    grid = torch.zeros(len(trace.lr), gh * gw, dtype=torch.bool)
    grid.scatter_(1, trace.index, True)
    side = net.p * net.geometry.zoom
    pixels = grid.view(-1, 1, gh, gw).repeat_interleave(side, 2).repeat_interleave(side, 3)
    return pixels[:, :, : trace.sr.shape[-2], : trace.sr.shape[-1]]


def check_batch(net: mga.MGANet, lr: Tensor) -> None:
    """Law 6; every patch, since which ones are chosen may hang on rounding."""
    both = torch.cat([lr, lr.flip(-1)])
    one_by_one = torch.cat([enlarge(net, both[i : i + 1], k="all") for i in range(2)])
    torch.testing.assert_close(enlarge(net, both, k="all"), one_by_one, atol=1e-5, rtol=0)
    with torch.no_grad():
        scores = torch.cat([net.trace(both[i : i + 1].clone(), k=1).score for i in range(2)])
        torch.testing.assert_close(net.trace(both.clone(), k=1).score, scores, atol=1e-5, rtol=0)


def check_exact(net: mga.MGANet, model: nn.Module, lr: Tensor, *, k: int | str) -> None:
    """Law 2, on an image that is longer than a window, so that the window has to do."""
    side = (net.p + 2 * net.halo) * net.geometry.zoom // net.scale
    height, width = lr.shape[-2:]
    lr = image(1, -(-side // 16) * 16 + height, width).to(lr.dtype)
    expected = enlarge(model, lr)
    with torch.no_grad():
        trace = net.trace(lr.clone(), k=k)
    assert trace.feature.shape[-2] > net.p + 2 * net.halo
    inside = refined_pixels(net, trace).expand_as(expected)
    assert inside.all() or k != "all"
    torch.testing.assert_close(trace.sr[inside], expected[inside], atol=1e-5, rtol=0)


def check_twice(one: mga.MGANet, two: mga.MGANet, lr: Tensor) -> None:
    """Law 8."""
    assert torch.equal(enlarge(one, lr, k=2), enlarge(two, lr, k=2))
    assert all(torch.equal(value, two.state_dict()[key]) for key, value in one.state_dict().items())
