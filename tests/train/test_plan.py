"""What must not change while a training goes on is told by its name; what may change is let through."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from toys.plain import build
from toys.trainings import FINETUNE, STAGES, paper_net

import mga_wrap as mga
from mga_wrap.train.parts import copy_of_the_original
from mga_wrap.train.plan import another_original, differences, plan_of

FACTS = {
    "seed": 0,
    "target": "hr",
    "processes": 1,
    "precision": "no",
    "detail": 2.0,
    "images": [("a.png", 32, 32, "aa"), ("b.png", 32, 16, "bb"), ("tiny.png", 7, 9, "tt")],
    "validation": {"k": [0, 0.25], "images": [("v.png", 9, 9, "vv")]},
}


def plan(net: mga.MGANet | None = None, stages: tuple[mga.Stage, ...] = STAGES, **facts: object) -> dict[str, Any]:
    return plan_of(net or paper_net(), stages=stages, teacher=None, facts={**FACTS, **facts})


def told(new: dict[str, Any], old: dict[str, Any] | None = None, *, begun: int = 1) -> list[str]:
    return differences(plan() if old is None else old, new, begun=begun)


IMAGES: list[Any] = FACTS["images"]  # type: ignore[assignment]
DIFFERENT = [
    ({"seed": 1}, ["seed 0, now 1"]),
    ({"target": "original"}, ["target hr, now original"]),
    ({"processes": 2}, ["processes 1, now 2"]),
    ({"precision": "bf16"}, ["precision no, now bf16"]),
    ({"detail": 0.0}, ["detail 2.0, now 0.0"]),
    ({"images": IMAGES[1:]}, ["image 'a.png' is gone"]),
    ({"images": [*IMAGES, ("c.png", 8, 8, "cc")]}, ["image 'c.png' is new"]),
    ({"images": [("a.png", 30, 32, "aa"), *IMAGES[1:]]}, ["image 'a.png' 32 x 32, now 30 x 32"]),
    ({"images": [("a.png", 32, 32, "xx"), *IMAGES[1:]]}, ["image 'a.png' has other pixels"]),
    ({"images": [IMAGES[1], IMAGES[0], IMAGES[2]]}, ["the images come in another order"]),
    ({"validation": None}, ["validation on 1 images, now none"]),
    ({"validation": {"k": [0], "images": [("v.png", 9, 9, "vv")]}}, ["validation: k [0, 0.25], now [0]"]),
    (
        {"validation": {"k": [0, 0.25], "images": [("v.png", 9, 9, "ww")]}},
        ["validation: image 'v.png' has other pixels"],
    ),
]


@pytest.mark.parametrize(("change", "expected"), DIFFERENT)
def test_what_differs_is_named(change: dict[str, object], expected: list[str]) -> None:
    assert told(plan(**change)) == expected


def test_the_same_is_the_same() -> None:
    assert told(plan()) == []
    assert told(plan(validation=None), plan(validation=None)) == []


def test_of_many_images_some_are_named() -> None:
    more = [(f"{number}.png", 8, 8, "") for number in range(9)]
    expected = ["image '0.png' is new", "image '1.png' is new", "image '2.png' is new", "6 more images differ"]
    assert told(plan(images=[*IMAGES, *more])) == expected


def test_images_that_no_crop_so_far_has_fitted_into_do_not_count() -> None:
    """A later stage with smaller crops reads smaller images."""
    assert min(stage.crop for stage in STAGES) == 8
    assert told(plan(images=IMAGES[:2])) == []


@pytest.mark.parametrize(
    ("options", "expected"), [({"p": 8}, ["the cut: p 4, now 8"]), ({"split_at": 1}, ["the cut: split_at"])]
)
def test_another_cut_is_named(options: dict[str, object], expected: list[str]) -> None:
    found = told(plan(paper_net(**options)), plan(paper_net()))
    assert all(any(one.startswith(start) for one in found) for start in expected), found


def test_another_halo_is_named() -> None:
    old, new = (plan(mga.accelerate(build("LongSkip", 2), halo=halo)) for halo in (2, 3))
    assert told(new, old) == ["the cut: halo 2, now 3"]


def test_how_much_is_refined_may_change() -> None:
    assert told(plan(paper_net(k=0.5)), plan(paper_net(k=0.25))) == []


def test_stages_that_have_begun_stay_and_others_may_change() -> None:
    later = (STAGES[0], replace(STAGES[1], rate=0.5))
    assert told(plan(stages=later)) == []
    assert told(plan(stages=later), begun=2) == ["stage 'mask': rate 0.001, now 0.5"]
    assert "stage 'mask': name 'mask', now None" in told(plan(stages=STAGES[:1]), begun=2)


def test_an_older_plan_is_asked_for_what_it_holds() -> None:
    """Before there were these facts a plan held the number of the images alone."""
    new = plan()
    old = {name: new[name] for name in ("seed", "target", "processes", "detail")}
    old |= {"images": 3, "stages": copy.deepcopy(new["stages"])}
    del old["stages"][0]["least_squares"]  # nor all that a stage has now
    assert told(new, old) == []
    assert told(plan(images=IMAGES[:1], seed=4), old) == ["seed 0, now 4", "images 3, now 1"]


# The weights of the original -----------------------------------------------------------------------------------------

ALL = (FINETUNE[0], replace(FINETUNE[0], name="all", parts=("base", "refine"), least_squares=False))


def changed(name: str) -> mga.MGANet:
    net = mga.accelerate(build("LongSkip", 2))
    with torch.no_grad():
        net.get_parameter(name).add_(0.1)
    return net


BODY, OWN = "base.head.weight", "mask.enter.weight"


@pytest.mark.parametrize(
    ("name", "stages", "expected"),
    [(BODY, FINETUNE, BODY), (OWN, FINETUNE, None), (BODY, ALL[:1], BODY), (BODY, ALL, None)],
)
def test_weights_that_nothing_has_taught_are_the_originals(
    name: str, stages: tuple[mga.Stage, ...], expected: str | None
) -> None:
    weights = mga.accelerate(build("LongSkip", 2)).state_dict()
    assert another_original(changed(name), weights, begun=stages) == expected


def test_a_teacher_is_known_by_its_weights() -> None:
    def taught(make: Callable[[], mga.MGANet]) -> dict[str, Any]:
        net = make()
        return plan_of(net, stages=ALL, teacher=copy_of_the_original(net, ALL), facts=FACTS)

    same = taught(lambda: mga.accelerate(build("LongSkip", 2)))
    assert told(same, copy.deepcopy(same)) == []
    assert told(taught(lambda: changed(BODY)), same) == ["the weights of the original network are others"]
