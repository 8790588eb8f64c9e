"""Stages are data, and wrong data is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from toys.trainings import paper_net

import mga_wrap as mga
from mga_wrap.train.losses import LOSSES
from mga_wrap.train.parts import parameters_of
from mga_wrap.train.stages import STAGE_SETS, changed, stage_set

RESTORE, MASK = mga.PAPER_STAGES


def test_the_papers_stages() -> None:
    assert (RESTORE.parts, dict(RESTORE.losses)) == (("base", "refine"), {"refined_l1": 10, "coarse_l1": 1})
    assert (MASK.parts, dict(MASK.losses)) == (("mask",), {"mask_l1": 10})


def test_the_users_own_weights_stay_when_a_trained_network_is_accelerated() -> None:
    assert [stage.parts for stage in mga.FINETUNE_STAGES] == [("coarse_tail",), ("mask",)]


@pytest.mark.parametrize("name", STAGE_SETS)
def test_every_set_names_parts_and_losses_that_exist(name: str) -> None:
    stages = stage_set(name)
    assert len({stage.name for stage in stages}) == len(stages)
    net = paper_net()
    for stage in stages:
        assert parameters_of(net, stage.parts, side=16)
        assert set(stage.losses) <= set(LOSSES)
        assert stage.warmup < stage.steps


def test_end_to_end_is_one_stage_of_all_parts() -> None:
    (stage,) = stage_set("table9-e2e")
    assert stage.parts == ("base", "mask", "refine")
    assert dict(stage.losses) == {**RESTORE.losses, **MASK.losses}


def test_without_supervision_the_mask_learns_from_the_image() -> None:
    first, second = stage_set("table9-without-supervision")
    assert first == RESTORE
    assert (second.parts, dict(second.losses)) == (("mask",), {"gated_l1": 10})


def test_an_unknown_set_names_the_nearest() -> None:
    with pytest.raises(mga.ArgumentError, match=r"got the stages 'finetunes'; .*; did you mean 'finetune'\?"):
        stage_set("finetunes")


def test_fields_are_changed_by_the_name_of_the_stage() -> None:
    assert changed(mga.PAPER_STAGES, {"mask": {"steps": 5, "rate": 0.1}}) == (RESTORE, replace(MASK, steps=5, rate=0.1))
    with pytest.raises(mga.ArgumentError, match=r"a change of the stage 'masks'; expected one of restore, mask; did"):
        changed(mga.PAPER_STAGES, {"masks": {}})
    with pytest.raises(mga.ArgumentError, match=r"stage 'mask': got 'step'; expected one of name, .*mean 'steps'"):
        changed(mga.PAPER_STAGES, {"mask": {"step": 5}})


WRONG = [
    ({"steps": 0}, r"stage 'mask': got steps=0; expected a whole number >= 1"),
    ({"batch": 2.5}, r"got batch=2.5; expected a whole number >= 1"),
    ({"crop": True}, r"got crop=True"),
    ({"warmup": -1}, r"got warmup=-1; expected a whole number >= 0"),
    ({"cycles": 0}, r"got cycles=0"),
    ({"accumulate": 0}, r"got accumulate=0"),
    ({"rate": -1e-3}, r"got rate=-0.001; expected 0 <= rate < 1"),
    ({"rate": "fast"}, r"got rate='fast'"),
    ({"rate": float("nan")}, r"got rate=nan"),
    ({"clip": -1.0}, r"got clip=-1.0"),
    ({"ema": 1.0}, r"got ema=1.0; expected 0 <= ema < 1"),
    ({"parts": "mask"}, r"got parts='mask'; expected a list of parts"),
    ({"parts": ()}, r"got parts=\(\); expected a list"),
    ({"losses": {}}, r"has no loss; expected some of coarse_l1"),
    ({"losses": {"mask_l2": 1}}, r"got the loss 'mask_l2'; .*did you mean 'mask_l1'"),
    ({"losses": {"mask_l1": "much"}}, r"got the weight 'much' of mask_l1; expected a number"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_stage_refuses_wrong_values(change: dict[str, object], message: str) -> None:
    with pytest.raises(mga.ArgumentError, match=message):
        replace(MASK, **change)


def test_an_unknown_optimiser_names_those_that_there_are() -> None:
    with pytest.raises(mga.ArgumentError, match=r"stage 'mask': got the optimiser 'sgd'; expected one of adam, muon"):
        replace(MASK, optimiser="sgd")
