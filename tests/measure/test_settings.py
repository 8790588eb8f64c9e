"""k and p of a table's columns: which there are, and that other patches are the same network."""

from __future__ import annotations

import pytest
import torch
from toys.plain import build

import mga_wrap as mga
from mga_wrap.errors import ArgumentError
from mga_wrap.measure.settings import Setting, variant_settings, with_patch, with_patch_sides
from mga_wrap.nets.mga import Amount


@pytest.fixture(scope="module")
def paper() -> mga.MGANet:
    return mga.accelerate(mga.create_backbone("fsrcnn", scale=2), style="paper", k=7).eval()


@pytest.fixture(scope="module")
def pretrained() -> mga.MGANet:
    return mga.accelerate(build("LongSkip", 2), p=4).eval()


def of(*ks: Amount | None) -> list[Setting]:
    return [Setting(k) for k in ks]


def test_a_number_of_patches_keeps_its_area_and_a_share_stays(paper: mga.MGANet) -> None:
    settings = with_patch_sides(paper, of(0, 240, 0.5, "all", "dense"), ps=[2, 4, 8])
    assert settings == [
        Setting(0),
        Setting(960, 2),
        Setting(240, 4),
        Setting(60, 8),
        Setting(0.5, 2),
        Setting(0.5, 4),
        Setting(0.5, 8),
        Setting("all", 2),
        Setting("all", 4),
        Setting("all", 8),
        Setting("dense"),
    ]
    assert with_patch_sides(paper, of(1), ps=[64]) == [Setting(1, 64)]


def test_one_patch_and_all_of_them_are_two_settings(paper: mga.MGANet) -> None:
    assert [setting.k for setting in with_patch_sides(paper, of(1, 1.0, 1))] == [1, 1.0]
    assert [type(setting.k) for setting in with_patch_sides(paper, of(1, 1.0))] == [int, float]


def test_a_patch_has_a_side(paper: mga.MGANet) -> None:
    with pytest.raises(ArgumentError, match="got p=0; expected a patch side of at least 1"):
        with_patch_sides(paper, of(1), ps=[4, 0])


def test_variants_are_the_papers_and_the_original_where_there_is_one(paper: mga.MGANet, pretrained: mga.MGANet) -> None:
    assert variant_settings(paper) == of(0, 7, "all", "dense")
    assert variant_settings(pretrained) == [*of(0, 0.25, "all", "dense"), Setting(original=True)]


def test_each_has_a_letter_and_a_heading() -> None:
    settings = [*of(0, "dense", "all", 0.25, 1, 1.0, None), Setting(original=True)]
    assert [setting.variant for setting in settings] == ["B", "D", "A", "M", "M", "M", "", "original"]
    assert [Setting(3, 8).label, Setting(0.5).label, settings[-1].label] == ["k = 3, p = 8", "k = 0.5", "original"]
    assert Setting(1).key != Setting(1.0).key


def test_the_original_has_no_k_and_no_patches(pretrained: mga.MGANet) -> None:
    """It is the network before it was cut, not one more k."""
    original = Setting(original=True)
    assert (original.k, original.p) == (None, None)
    assert with_patch_sides(pretrained, [original], ps=[2, 4]) == [original]
    for wrong in ({"k": 0}, {"p": 4}):
        with pytest.raises(ArgumentError, match="for the original, which has neither; leave out"):
            Setting(original=True, **wrong)


@pytest.mark.parametrize("p", [1, 2, 8])
def test_other_patches_are_the_same_network(p: int, paper: mga.MGANet, pretrained: mga.MGANet) -> None:
    lr = torch.rand(1, 3, 11, 14)
    for net in (paper, pretrained):
        changed = with_patch(net, p)
        with torch.no_grad():
            trace = changed.trace(lr, k=2)
            assert torch.equal(changed(lr, k="dense"), net(lr, k="dense"))
        assert trace.score.shape == (1, -(-11 // p), -(-14 // p))
        assert net.p == 4
    assert with_patch(paper, None) is with_patch(paper, 4) is paper
