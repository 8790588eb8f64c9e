"""The original put together again: the same image, and no layer more."""

from __future__ import annotations

import pytest
import torch
from toys.plain import NETWORKS, build
from toys.sized import SIZED, build_sized

import mga_wrap as mga
from mga_wrap.counting import count_macs, count_parameters
from mga_wrap.cut.original import original_of
from mga_wrap.errors import ArgumentError


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NETWORKS))
@pytest.mark.parametrize("coarse_tail", ["copy", "light"])
def test_it_gives_the_originals_image_at_the_originals_cost(name: str, coarse_tail: str) -> None:
    model = build(name, 2).eval()
    net = mga.accelerate(model, coarse_tail=coarse_tail)
    again = original_of(net)
    lr = torch.rand(2, 3, 12, 10)
    with torch.no_grad():
        kept = lr.clone()
        assert torch.equal(again(lr), model(kept))
        assert count_macs(again, lr) == count_macs(model, lr)
    assert not again.training
    assert count_parameters(again) <= count_parameters(net)


def test_a_network_in_the_papers_style_holds_no_original() -> None:
    net = mga.accelerate(mga.create_backbone("fsrcnn", scale=2), style="paper")
    with pytest.raises(ArgumentError, match=r"style 'paper' holds no original.*measure .*k='dense'"):
        original_of(net)


def test_a_graph_made_anew_for_each_size_has_no_tail_to_take_off() -> None:
    net = mga.accelerate(build_sized(next(iter(SIZED)), 2))
    with pytest.raises(ArgumentError, match=r"depends on the size of the image.*measure k='dense'"):
        original_of(net)
