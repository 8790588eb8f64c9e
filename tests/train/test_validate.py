"""Validation while training: what is measured, and against what."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys.plain import build
from toys.trainings import noise, paper_net, smooth

import mga_wrap as mga
from mga_wrap.train.validate import Validator

WRONG = [
    ({"k": ()}, r"got k=\(\); expected a list of amounts, or None for 0 and the network's own"),
    ({"k": 0.25}, r"got k=0.25; expected a list of amounts"),
    ({"k": (2.5,)}, r"got the share k=2.5; expected an int"),
    ({"images": 0}, r"got images=0, every=500; expected both at least 1"),
    ({"every": 0}, r"got images=6, every=0; expected both at least 1"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_values(options: dict[str, object], message: str) -> None:
    with pytest.raises(mga.ArgumentError, match=message):
        mga.Validation("val", **options)


def test_without_amounts_the_networks_own_decides(tmp_path: Path) -> None:
    validator = Validator(paper_net(k=0.5), mga.Validation(smooth(tmp_path)), taught=False)
    assert validator.columns == ["psnr_0", "psnr_0.5"]
    assert validator.facts["k"] == [0, 0.5]


def test_the_first_images_are_measured(tmp_path: Path) -> None:
    smooth(tmp_path, names="abc")
    net = paper_net()
    one, two, all_three = (
        Validator(net, mga.Validation(tmp_path, images=number, k=(0,)), taught=False) for number in (1, 2, 9)
    )
    names = [[image[0] for image in one.facts["images"]] for one in (one, two, all_three)]
    assert names == [["a.png"], ["a.png", "b.png"], ["a.png", "b.png", "c.png"]]
    assert len({one(net)["psnr_0"] for one in (one, two, all_three)}) == 3


def test_taught_by_the_original_its_own_output_is_the_measure(tmp_path: Path) -> None:
    noise(tmp_path / "a.png", 40, 48)
    net = mga.accelerate(build("LongSkip", 2))
    validator = Validator(net, mga.Validation(lr=tmp_path, k=(0, "dense")), taught=True)
    figures = validator(net)
    assert figures["psnr_dense"] == float("inf")
    assert figures["psnr_0"] < 60
    with torch.no_grad():
        net.get_parameter("base.head.bias").add_(0.5)
    assert validator(net)["psnr_dense"] < 60, "the target is what it was"
