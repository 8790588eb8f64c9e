"""The field's best-known shapes: which blocks are found, what crosses, and what the odd ones among them do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from toys.plain import LongSkip, build
from toys.published import CARN, FIELD, RLFN
from toys.sized import CropsBeforeTail, PadsUnasked, ReflectsFar

import mga_wrap as mga
from mga_wrap.pictures.synthetic import synthetic

pytestmark = pytest.mark.slow

BLOCKS = {
    "EDSR": ["body.0", "body.1", "body.2", "body.3"],
    "IMDN": ["IMDB1", "IMDB2", "IMDB3", "IMDB4", "IMDB5", "IMDB6"],
    "CARN": ["b1", "b2", "b3"],
    "RDN": ["RDBs.0", "RDBs.1", "RDBs.2", "RDBs.3"],
    "MSRResNet": ["body.0", "body.1", "body.2", "body.3"],
    "TiedWeights": ["body.0", "body.1", "body.0@2", "body.3"],
}
CROSSING = {
    "EDSR": ("8 x 1", "8 x 1"),  # the feature and the long skip
    "IMDN": ("8 x 1", "8 x 1", "8 x 1"),  # the fusion's first input, the feature again, and the long skip
    "CARN": ("8 x 1", "24 x 1"),  # the cascade so far
    "RDN": ("8 x 1", "8 x 1", "8 x 1"),
    "MSRResNet": ("8 x 1", "3 x 4"),  # the bilinear image
    "TiedWeights": ("8 x 1", "8 x 1"),
}


@pytest.mark.parametrize("name", FIELD)
def test_the_blocks_and_what_crosses_after_the_second(name: str) -> None:
    anatomy = mga.inspect(build(name, 4, FIELD))
    assert [block.name for block in anatomy.blocks] == BLOCKS[name]
    assert anatomy.blocks[1].crossing == CROSSING[name]
    assert anatomy.scale == 4
    assert all(block.reach in (2, 3) for block in anatomy.blocks)


def test_a_cascade_that_grows_runs_in_the_base_net_too() -> None:
    """CARN cut after its first block: its value and what it hands on replace the later ones, in a wide enough cat."""
    model, lr = build("CARN", 2, FIELD), torch.rand(1, 3, 11, 9)
    net = mga.accelerate(model, split_at=1)
    with torch.no_grad():
        first = model.entry(model.sub_mean(lr))
        one = model.b1(first)
        handed_on = model.c1(torch.cat([first, one], dim=1))
        wide = torch.cat([first, one, one, handed_on], dim=1)
        assert torch.equal(net(lr, k=0), model.add_mean(model.exit(model.c3(wide))))


def test_a_cascade_in_style_paper_is_refused_where_it_cannot_be_sliced() -> None:
    assert mga.accelerate(CARN(2), style="paper", split_at=2) is not None
    with pytest.raises(mga.CutError, match=r"fusion .* goes into .*, not into a convolution; .*use style='pretrained'"):
        mga.accelerate(CARN(2), style="paper", split_at=1)


@pytest.mark.parametrize("shape", [(1, 3, 40, 36), (2, 3, 15, 21)])
def test_a_strided_attention_works_and_is_not_exact(shape: tuple[int, ...]) -> None:
    """RLFN: its attention looks at every sixth pixel of the window, so it depends on where the window starts."""
    model, lr = build("RLFN", 2, {"RLFN": RLFN}), torch.rand(shape, generator=torch.Generator().manual_seed(0))
    net = mga.accelerate(model, split_at="B4")
    with torch.no_grad():
        expected, patched = model(lr), net(lr, k="all")
        assert torch.equal(net(lr, k="dense"), expected)
        assert patched.shape == expected.shape
        whole = max(shape[2:]) <= 20  # a window as large as the image
        assert torch.allclose(patched, expected, atol=1e-6) == whole
        torch.testing.assert_close(patched, expected, atol=0.1, rtol=0)


def test_a_window_too_small_for_a_blocks_stride_is_refused() -> None:
    with pytest.raises(mga.CutError, match=r"Output size is too small.*larger p or halo"):
        mga.accelerate(build("RLFN", 2, {"RLFN": RLFN}), p=4, halo=1)


@pytest.mark.parametrize("example", [None, synthetic(64, 48)])
def test_padding_by_arithmetic_is_found_where_blocks_need_it(example: Tensor | None) -> None:
    """For images of 64 x 48 nothing is padded, and a graph for every size seems to do."""
    model = build("PadsUnasked", 2, {"PadsUnasked": PadsUnasked})
    net, lr = mga.accelerate(model, example=example, p=8, halo="exact", split_at=2), synthetic(37, 45)
    assert (net.p + 2 * net.halo) % 4 == 0
    with torch.no_grad():
        torch.testing.assert_close(net(lr, k="all"), model(lr), atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(37, 45), (32, 48)])
def test_a_network_that_crops_before_its_tail_is_exact_inside(size: tuple[int, int]) -> None:
    """Behind the border of the image a window sees what the tail of the original does not: one ring of pixels."""
    model = build("CropsBeforeTail", 2, {"CropsBeforeTail": CropsBeforeTail})
    net, lr = mga.accelerate(model, halo="exact", split_at=2), synthetic(*size)
    with torch.no_grad():
        expected, patched = model(lr), net(lr, k="all")
        assert torch.equal(net(lr, k="dense"), expected)
    torch.testing.assert_close(patched[..., :-2, :-2], expected[..., :-2, :-2], atol=1e-5, rtol=0)


def test_a_network_that_reflects_far_is_tried_on_a_larger_picture() -> None:
    model = build("ReflectsFar", 2, {"ReflectsFar": ReflectsFar})
    net, lr = mga.accelerate(model), synthetic(80, 90)
    with torch.no_grad():
        assert torch.equal(net(lr, k="dense"), model(lr))


def test_values_that_are_not_finite_are_told_as_such() -> None:
    """A trained network may explode on what it was not trained on; NaN is not equal to NaN."""

    class Explodes(LongSkip):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) / nn.functional.relu(-x.sum())

    with pytest.raises(mga.CutError, match=r"Explodes returns values that are not finite for a picture .* from 0.* to"):
        mga.accelerate(Explodes(2))
