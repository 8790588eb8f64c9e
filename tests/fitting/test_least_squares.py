"""The start of a light tail: its modes, its input, its example. What it finds is in tests/nets/test_light.py."""

from __future__ import annotations

import pytest
import torch
from toys.plain import build

import mga_wrap as mga
from mga_wrap.fitting.least_squares import Equations, fit_coarse_tail


def net_of(name: str = "LongSkip") -> mga.MGANet:
    return mga.accelerate(build(name, 2), split_at=1, coarse_tail="light")


def test_every_module_is_in_its_own_mode_again() -> None:
    net = net_of()
    net.train()
    net.refine.eval()
    before = [module.training for module in net.modules()]
    fit_coarse_tail(net, torch.rand(2, 3, 24, 24))
    assert [module.training for module in net.modules()] == before


def test_a_batch_is_its_images() -> None:
    images = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    one, two = net_of(), net_of()
    two.load_state_dict(one.state_dict())
    shares = fit_coarse_tail(one, images), fit_coarse_tail(two, list(images))
    assert shares[0] == pytest.approx(shares[1], abs=1e-4)
    torch.testing.assert_close(one.base.coarse_tail.last.weight, two.base.coarse_tail.last.weight, atol=1e-3, rtol=1e-2)


def test_pixels_are_drawn() -> None:
    """Of many pixels so many are taken as the equations need, from every image, the same for the same seed."""
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    shape = net_of().base.coarse_tail.first.in_channels
    draw = torch.Generator().manual_seed(1)
    features, wanted = torch.rand(4, shape, 64, 64, generator=draw), torch.rand(4, 3, 128, 128, generator=draw)

    def solved(seed: int) -> torch.Tensor:
        torch.manual_seed(0)
        tail = net_of().base.coarse_tail
        found = Equations(tail, crops=4, seed=seed, pixels=3000)
        for image, feature, target in zip(images.split(1), features.split(1), wanted.split(1), strict=True):
            found.add(image, feature, target)
        assert found.pixels == 3000
        found.solve()
        weight: torch.Tensor = tail.last.weight
        return weight

    with torch.no_grad():
        assert torch.equal(solved(0), solved(0))
        assert not torch.equal(solved(0), solved(1))


def test_only_the_last_layer_changes() -> None:
    net = net_of()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    fit_coarse_tail(net, torch.rand(1, 3, 40, 40))
    changed = [
        name
        for name, value in net.state_dict().items()
        if not torch.equal(value.nan_to_num(), before[name].nan_to_num())
    ]
    assert changed == ["base.coarse_tail.last.weight", "base.coarse_tail.last.bias"]
