"""What is cut is held against the original: each way in which it may be wrong is told."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from toys.plain import LongSkip, Residual, build, conv

import mga_wrap as mga
from mga_wrap.cut.verify import WindowError, verify
from mga_wrap.errors import CutError
from mga_wrap.graph.chain import Chain, find_chain


def pair(name: str = "LongSkip") -> tuple[mga.MGANet, Chain]:
    model = build(name, 2)
    return mga.accelerate(model, split_at=2, coarse_tail="copy").eval(), find_chain(model)


@pytest.mark.parametrize("name", ["LongSkip", "ImageAdded", "InPlace", "PAN"])
def test_a_right_cut_passes_and_is_not_changed(name: str) -> None:
    net, chain = pair(name)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    verify(net, chain)
    for key, value in net.state_dict().items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0, equal_nan=True)


def test_other_values_are_told_with_their_size() -> None:
    net, chain = pair()
    with torch.no_grad():
        net.refine.get_parameter("tail.0.bias").add_(0.25)
    with pytest.raises(CutError, match=r"does not return what the original does, by up to 0.25: .* a side effect"):
        verify(net, chain)


class Cuts(nn.Module):
    """Loses a row of the whole map."""

    def __init__(self, refine: nn.Module) -> None:
        super().__init__()
        self.refine = refine

    def forward(self, *windows: Tensor, dense: bool = False) -> Tensor:
        sr: Tensor = self.refine(*windows, dense=dense)
        return sr[..., :-1, :] if dense else sr


def test_another_size_is_told() -> None:
    net, chain = pair()
    net.refine = Cuts(net.refine)
    with pytest.raises(CutError, match=r"the cut network returns \(1, 3, 63, 48\) .*, the original \(1, 3, 64, 48\)"):
        verify(net, chain)


class Fails(nn.Module):
    """Takes the whole map alone."""

    def __init__(self, refine: nn.Module) -> None:
        super().__init__()
        self.refine = refine

    def forward(self, *windows: Tensor, dense: bool = False) -> Tensor:
        if not dense:
            raise ValueError("no windows here")
        return self.refine(*windows, dense=True)


def test_what_fails_on_windows_alone_is_a_window_error() -> None:
    net, chain = pair()
    net.refine = Fails(net.refine)
    with pytest.raises(WindowError, match=r"the original takes an image of \(1, 3, 32, 24\), the cut network doe"):
        verify(net, chain)


class Explodes(LongSkip):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) / 0.0


def test_what_is_not_finite_is_told_with_the_range_of_the_picture() -> None:
    net, _ = pair()
    chain = find_chain(Explodes(2).eval())
    with pytest.raises(CutError, match=r"Explodes returns values that are not finite .* example=\.\.\."):
        verify(net, chain)


def test_sizes_that_the_original_refuses_are_not_held_against_the_cut() -> None:
    class EvenOnly(LongSkip):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(nn.functional.pixel_shuffle(nn.functional.pixel_unshuffle(x, 2), 2))

    model = EvenOnly(2).eval()
    net = mga.accelerate(model, split_at=2)
    with pytest.raises(RuntimeError):
        model(torch.rand(1, 3, 29, 19))
    verify(net, find_chain(model))


def test_a_network_that_takes_no_batch_is_told_so() -> None:
    class One(Residual):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.view(8, x.shape[-2], x.shape[-1])[None])

    model = LongSkip(2)
    model.body = nn.Sequential(*[One() for _ in range(3)], conv(8, 8))
    net, _ = pair()
    chain = find_chain(model.eval())
    net.refine = Fails(net.refine)
    with pytest.raises(CutError, match=r"LongSkip fails on a batch of two images .* expected a network that takes bat"):
        verify(net, chain)


def test_an_image_that_lies_elsewhere_is_told() -> None:
    """A window over the whole feature gives the image back, unless the network pads on all sides."""

    class Around(LongSkip):
        def forward(self, x: Tensor) -> Tensor:
            sides = x.shape[-2:]
            x = nn.functional.pad(x, [4, 4, 4, 4], mode="reflect")
            return super().forward(x)[..., 8 : 8 + 2 * sides[0], 8 : 8 + 2 * sides[1]]

    with pytest.raises(CutError, match=r"does not give the image of .* back: the network pads it on all sides"):
        mga.accelerate(Around(2).eval())


def test_style_paper_is_held_to_the_size_alone() -> None:
    model = build("LongSkip", 2)
    net = mga.accelerate(model, style="paper").eval()
    with torch.no_grad():
        net.refine.get_parameter("tail.0.bias").add_(0.25)
    verify(net, find_chain(model))
    assert dataclasses.asdict(net.config)["style"] == "paper"


class Views(Residual):
    """Looks at its input in another shape, which only contiguous memory has (RLCSR)."""

    def forward(self, x: Tensor) -> Tensor:
        pairs = x.view(x.shape[0], -1, 2).mean(dim=(1, 2))
        return super().forward(x) + 0.1 * pairs[:, None, None, None]


def test_a_block_that_needs_contiguous_windows_gets_them() -> None:
    torch.manual_seed(0)
    model = LongSkip(2)
    model.body = nn.Sequential(*[Views() for _ in range(4)], conv(8, 8))
    model.eval()
    net = mga.accelerate(model, split_at=2, p=8, coarse_tail="copy")
    assert net.geometry.contiguous
    assert not pair()[0].geometry.contiguous
    net.fitted, lr = True, torch.rand(1, 3, 32, 24)
    with torch.no_grad():
        assert torch.equal(net(lr, k="dense"), model(lr))
        assert net(lr, k=3).shape == (1, 3, 64, 48)
    assert mga.upscale(lr, model=net, k=3).shape == (1, 3, 64, 48)
