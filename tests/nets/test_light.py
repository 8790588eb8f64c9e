"""The light coarse tail, and its start by least squares."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.nn import functional as F
from toys.plain import build
from toys.sized import build_sized

import mga_wrap as mga
from mga_wrap.nets.light import LightTail, depth_within

CONV, LAST = 9 * 8 * 8, 9 * 16 * 12
"""MACs a pixel of a tail's convolutions for 8 channels and a zoom of 2."""


@pytest.mark.parametrize(("scale", "zoom", "feature"), [(2, 2, (7, 9)), (3, 3, (8, 16)), (4, 8, (4, 5))])
def test_it_starts_as_a_bilinear_image(scale: int, zoom: int, feature: tuple[int, int]) -> None:
    tail, lr = LightTail(8, 3, scale=scale, zoom=zoom), torch.rand(2, 3, 7, 9)
    coarse = tail(torch.rand(2, 8, *feature), lr)
    assert torch.equal(coarse, F.interpolate(lr, scale_factor=scale, mode="bilinear"))


@pytest.mark.parametrize(("scale", "zoom", "feature"), [(2, 2, (7, 9)), (3, 3, (8, 16)), (4, 8, (4, 5))])
def test_what_is_traced_makes_the_same_image(scale: int, zoom: int, feature: tuple[int, int]) -> None:
    tail, lr, wide = LightTail(8, 3, scale=scale, zoom=zoom), torch.rand(2, 3, 7, 9), torch.rand(2, 8, *feature)
    torch.nn.init.normal_(tail.last.weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        traced = torch.jit.trace(tail, (wide, lr))
    torch.testing.assert_close(traced(wide, lr), tail(wide, lr))


@pytest.mark.parametrize(
    ("budget", "hidden", "convolutions"),
    [
        (0, 4, 1),
        (CONV + LAST - 1, 4, 1),
        (CONV + LAST, 8, 1),
        (3 * CONV + LAST, 8, 3),
        (1e9, 8, 6),
    ],
)
def test_it_has_as_many_convolutions_as_its_budget_pays_for(budget: float, hidden: int, convolutions: int) -> None:
    tail = LightTail(8, 3, scale=2, zoom=2, depth=depth_within(budget, 8, 3, zoom=2))
    assert tail.first.out_channels == hidden
    assert 1 + len(tail.more) == convolutions
    weights = sum(weight.numel() for weight in tail.parameters() if weight.ndim == 4)
    assert hidden == 4 or weights <= budget
    torch.nn.init.normal_(tail.last.weight)
    assert tail(torch.rand(1, 8, 5, 6), torch.rand(1, 3, 5, 6)).shape == (1, 3, 10, 12)


@pytest.mark.parametrize("depth", [1, 9])
def test_a_number_is_its_depth_whatever_it_costs(depth: int) -> None:
    net = mga.accelerate(build("LongSkip", 2), coarse_tail=depth)
    assert (net.base.coarse_tail.first.out_channels, len(net.base.coarse_tail.more)) == (8, depth - 1)
    assert net.config.coarse_tail == depth


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["LongSkip", "ImageAdded", "CatFusion", "PAN", "Tokens", "PadsAndAddsImage", "Unshuffles"]
)
def test_the_base_net_has_no_tail_of_the_networks_own(name: str) -> None:
    toy = build_sized(name, 2) if name in ("Tokens", "PadsAndAddsImage", "Unshuffles") else build(name, 2)
    copy, light = (mga.accelerate(toy, split_at=1, coarse_tail=tail) for tail in ("copy", "light"))
    own = {key for key, _ in light.base.named_parameters() if not key.startswith("coarse_tail.")}
    assert own < {key for key, _ in copy.base.named_parameters()}
    lr = torch.rand(2, 3, 19, 25)
    with torch.no_grad():
        assert torch.equal(light(lr.clone(), k=0), F.interpolate(lr, scale_factor=2, mode="bilinear"))
        assert torch.equal(light(lr.clone(), k="dense"), toy(lr.clone()))
        assert torch.equal(light(lr.clone(), k="all"), copy(lr.clone(), k="all"))


def test_the_image_is_as_it_came_where_the_network_writes_into_it() -> None:
    toy = build_sized("WritesToSelf", 2)
    net = mga.accelerate(toy, coarse_tail="light")
    lr = torch.rand(1, 3, 20, 24)
    before = lr.clone()
    with torch.no_grad():
        assert torch.equal(net(lr, k=0), F.interpolate(before, scale_factor=2, mode="bilinear"))
    assert torch.equal(lr, before)


def test_least_squares_finds_a_linear_tail() -> None:
    """Blocks that do nothing and a head that mixes colours: all that is to be restored is linear, but at the border."""
    toy = build("LongSkip", 2)
    with torch.no_grad():
        for block in toy.body[:4]:
            block.conv2.weight.zero_()
            block.conv2.bias.zero_()
        for layer in (toy.head, toy.body[4]):  # one pixel each, so that the tail's 3 x 3 is all there is to see
            layer.weight[..., [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]] = 0
    net = mga.accelerate(toy, split_at=2, coarse_tail="light")
    images = torch.rand(
        1, 3, 160, 160, generator=torch.Generator().manual_seed(0)
    )  # large, since the border's pixels are fitted too
    before = net.base.coarse_tail.first.weight.clone()
    assert mga.fit_coarse_tail(net.train(), images) > 0.99
    assert net.training
    assert torch.equal(net.base.coarse_tail.first.weight, before)
    with torch.no_grad():
        error = (net.eval()(images, k=0) - toy(images))[..., 4:-4, 4:-4]
    assert error.abs().mean() < 0.003


@pytest.mark.parametrize("name", ["LongSkip", "PAN", "Tokens", "PadsAndAddsImage"])
def test_it_brings_the_coarse_image_nearer_to_the_dense_one(name: str) -> None:
    toy = build_sized(name, 2) if name in ("Tokens", "PadsAndAddsImage") else build(name, 2)
    net = mga.accelerate(toy, split_at=1, coarse_tail="light")
    images = [torch.rand(3, 41, 50), torch.rand(2, 3, 30, 61)]
    target = torch.rand(1, 3, 33, 47)

    @torch.no_grad()
    def error() -> float:
        return (net(target, k=0) - net(target, k="dense")).square().mean().item()

    before = error()
    share = mga.fit_coarse_tail(net, images)
    assert 0 < share < 1
    assert error() < before


def test_what_cannot_be_fitted_says_so() -> None:
    toy = build("LongSkip", 2)
    with pytest.raises(
        mga.ArgumentError, match=r"no light coarse tail; make it with accelerate\(..., coarse_tail='light'\)"
    ):
        mga.fit_coarse_tail(mga.accelerate(toy), torch.rand(1, 3, 32, 32))
    net = mga.accelerate(toy, coarse_tail="light")
    with pytest.raises(
        mga.ArgumentError, match=r"images of 64 pixels for 109 weights an output; expected several times"
    ):
        mga.fit_coarse_tail(net, torch.rand(1, 3, 8, 8))
    assert not net.base.coarse_tail.last.weight.any()


def test_a_checkpoint_keeps_the_tail(tmp_path) -> None:
    net = mga.accelerate(mga.create_backbone("fsrcnn", scale=2), coarse_tail="light")
    mga.fit_coarse_tail(net, torch.rand(2, 3, 40, 40))
    net.save_pretrained(tmp_path)
    lr = torch.rand(1, 3, 20, 20)
    with torch.no_grad():
        assert torch.equal(mga.from_pretrained(tmp_path)(lr, k=0), net(lr, k=0))
