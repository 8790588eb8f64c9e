"""What the score reads of a small network: its feature where its graph shows one, and its image as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from toys.plain import TOYS, build
from toys.sized import SIZED, build_sized
from toys.whole import build_whole

import mga_wrap as mga
from mga_wrap.pair.feature import with_feature

LR = torch.rand(1, 3, 40, 32, generator=torch.Generator().manual_seed(0))


def parts(net: nn.Module, lr: Tensor) -> tuple[Tensor, Tensor | None]:
    with torch.no_grad():
        found = net(lr.clone())
    return found if isinstance(found, tuple) else (found, None)


@pytest.mark.parametrize("name", TOYS)
def test_a_chain_shows_its_feature(name: str) -> None:
    small = build(name, 2)
    sr, feature = parts(with_feature(small, LR), LR)
    assert feature is not None
    assert feature.shape[-2:] == LR.shape[-2:]
    with torch.no_grad():
        assert torch.equal(sr, small(LR.clone()))


def test_a_feature_that_the_tail_writes_into_is_kept_as_it_was() -> None:
    _, feature = parts(with_feature(build("InPlace", 2), LR), LR)
    _, again = parts(with_feature(build("InPlace", 2), LR), LR)
    assert feature is not None
    assert again is not None
    assert torch.equal(feature, again)
    assert feature.min() < 0, "before the activation in the tail"


@pytest.mark.parametrize("name", [*SIZED, "Enlarges", "UShaped"])
def test_one_that_shows_none_is_a_plain_copy(name: str) -> None:
    small = build_sized(name, 2) if name in SIZED else build_whole(name, 2)
    plain = with_feature(small, LR)
    sr, feature = parts(plain, LR)
    assert plain is not small
    with torch.no_grad():
        assert torch.equal(sr, small(LR.clone()))
    assert feature is None or feature.shape[-2:] == LR.shape[-2:]


def test_an_accelerated_network_shows_its_own() -> None:
    small = mga.from_pretrained("rfdn-m-x2")
    sr, feature = parts(with_feature(small, LR), LR)
    assert feature is not None
    with torch.no_grad():
        assert torch.equal(sr, small(LR))
        assert torch.equal(feature, small.trace(LR).feature)
