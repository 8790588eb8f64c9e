"""Wrong calls of the benchmark: each is refused in one sentence that says what was expected."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.bench.benchmark import bench
from mga_wrap.errors import ArgumentError

MODEL = create_backbone("fsrcnn", scale=2)
NET = accelerate(MODEL, p=4, halo=1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"net": MODEL}, "net of type FSRCNN; expected an MGANet"),
        ({"original": NET}, "original of type MGANet; expected the network that was accelerated"),
        ({"original": 4}, "original of type int"),
        ({"original": create_backbone("fsrcnn", scale=2).to("meta")}, "accelerated network on cpu and the original on"),
        ({"original": create_backbone("fsrcnn", scale=3)}, "the accelerated network does not; give the network that"),
        ({"original": nn.Conv2d(4, 3, 1)}, "failed on an image of 40 x 24 .*; give another size"),
        ({"size": (40,)}, r"size=\(40,\); expected \(width, height\)"),
        ({"size": (0, 4)}, r"size=\(0, 4\)"),
        ({"shares": []}, r"shares=\[\]; expected one or more numbers in \(0, 1\]"),
        ({"shares": [0.5, 1.5]}, "expected one or more numbers"),
        ({"shares": [0.5, 0.5]}, "expected each share once"),
        ({"threads": 0}, "threads=0; expected a whole number, at least 1"),
        ({"clock": "sun"}, "clock='sun'; expected one of wall, processor"),
        ({"clock": "processor"}, "clock='processor' with threads=None on cpu; expected threads=1 on the CPU"),
        ({"repeats": 0}, "repeats=0; expected a whole number, at least 1"),
        ({"repeats": True}, "repeats=True; expected a whole number, at least 1"),
        ({"dtype": "half"}, "dtype='half'; expected one of float32"),
    ],
)
def test_a_wrong_call_is_refused(options: dict[str, Any], text: str) -> None:
    given: dict[str, Any] = {"net": NET, "original": MODEL, "size": (40, 24), **options}
    net, original = given.pop("net"), given.pop("original")
    with pytest.raises(ArgumentError, match=text) as refused:
        bench(net, original, **given)
    assert "\n" not in str(refused.value)
