"""The trainer: each stage trains its parts, and what is left behind by a failure is whole."""

from __future__ import annotations

import copy
import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toys.plain import build
from toys.trainings import FINETUNE, STAGES, equal, noise, paper_net, rows, smooth

import mga_wrap as mga
from mga_wrap.pictures.metrics import psnr
from mga_wrap.train import losses, state
from mga_wrap.train.crops import Crops
from mga_wrap.train.data import Data, read_images
from mga_wrap.train.losses import LOSSES, Outputs
from mga_wrap.train.state import load_state
from mga_wrap.train.validate import Validator

pytestmark = pytest.mark.slow


def validation(images: Path, **options: object) -> mga.Validation:
    return mga.Validation(images, **{"images": 1, "every": 3, **options})


def test_each_stage_trains_its_parts_alone(make: Callable[..., mga.MGATrainer]) -> None:
    one = make(stages=STAGES[:1])
    start = copy.deepcopy(one.net)
    after = copy.deepcopy(one.fit())
    assert equal(after.mask, start.mask)
    assert not equal(after.base, start.base)
    assert not equal(after.refine, start.refine)
    both = make().fit()  # in the same folder: goes on with the second stage
    assert equal(both.base, after.base)
    assert equal(both.refine, after.refine)
    assert not equal(both.mask, after.mask)


def test_training_lowers_the_loss(make: Callable[..., mga.MGATrainer], images: Path) -> None:
    pairs = read_images(Data(hr=images), scale=2, channels=3, smallest=8, taught=False).pairs
    batch = Crops(pairs, scale=2, crop=8, detail=0.0, seed=(9,)).batch(0, range(16))
    one = make(stages=(replace(STAGES[0], steps=60, rate=3e-3),))
    before = LOSSES["refined_l1"](Outputs(one.net, batch.lr, batch.hr)).item()
    assert LOSSES["refined_l1"](Outputs(one.fit(), batch.lr, batch.hr)).item() < 0.8 * before


def test_what_a_training_leaves(make: Callable[..., mga.MGATrainer], images: Path) -> None:
    one = make(validation=validation(images, k=(0, "all", 0.5)), net=paper_net(k=0.5))
    one.fit()
    assert sorted(path.name for path in one.output_dir.iterdir()) == ["best", "last", "log.csv", "state.safetensors"]
    model = build("LongSkip", 2)
    assert equal(mga.from_pretrained(one.output_dir / "last", model=model), one.net)
    found = [(row["stage"], row["step"], row["total_steps"]) for row in rows(one.output_dir)]
    assert found == [("restore", "3", "3"), ("restore", "6", "6"), ("mask", "3", "9"), ("mask", "4", "10")]
    best = mga.from_pretrained(one.output_dir / "best", model=model)
    validator = Validator(best, validation(images, k=(0, "all", 0.5)), taught=False)
    assert validator(best)["psnr_0.5"] == max(float(row["psnr_0.5"]) for row in rows(one.output_dir))
    assert load_state(one.output_dir).best == validator(best)["psnr_0.5"]


def test_validation_measures_as_evaluation_does(images: Path) -> None:
    net = paper_net(k=0.5)
    figures = Validator(net, validation(images), taught=False)(net)
    assert list(figures) == ["psnr_0", "psnr_0.5"]
    (pair,) = read_images(Data(hr=images), scale=2, channels=3, smallest=8, taught=False, limit=1).pairs
    sr = mga.upscale(pair.lr, model=net, k=0)
    assert figures["psnr_0"] == pytest.approx(psnr(sr, pair.hr, border=2), abs=1e-3)


def test_random_states_and_modes_are_as_before(make: Callable[..., mga.MGATrainer]) -> None:
    one = make(net=paper_net().eval())
    one.net.mask.requires_grad_(False)
    before = torch.random.get_rng_state()
    one.fit()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not one.net.training
    assert not any(parameter.requires_grad for parameter in one.net.mask.parameters())
    assert all(parameter.requires_grad for parameter in one.net.base.parameters())


def test_accumulated_batches_are_one_large_batch(make: Callable[..., mga.MGATrainer]) -> None:
    stages = tuple(replace(stage, batch=4) for stage in STAGES)
    parts = tuple(replace(stage, batch=2, accumulate=2) for stage in STAGES)
    one, two = make("one", stages=stages).fit(), make("two", stages=parts).fit()
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


def test_workers_change_nothing(make: Callable[..., mga.MGATrainer], images: Path) -> None:
    one = make("one").fit()
    assert equal(make("two", data=Data(hr=images, workers=2)).fit(), one)


def test_bfloat16_trains_float32_weights(make: Callable[..., mga.MGATrainer]) -> None:
    one, two = make("one", precision="bf16").fit(), paper_net()
    assert {parameter.dtype for parameter in one.parameters()} == {torch.float32}
    assert not equal(one, two)
    with pytest.raises(mga.ArgumentError, match="precision='no', but this process has already trained with others"):
        make("two", precision="no").fit()


# A trained network ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["copy", "light"])
def test_the_users_own_weights_are_untouched(tail: str, make: Callable[..., mga.MGATrainer], images: Path) -> None:
    model = build("LongSkip", 2)
    net = mga.accelerate(model, coarse_tail=tail, p=4)
    lr = torch.rand(1, 3, 20, 17)
    with torch.no_grad():
        coarse, score = net(lr, k=0), net.trace(lr).score
        make(net=net, stages=FINETUNE).fit()
        assert torch.equal(net(lr, k="dense"), model(lr))
        assert not torch.equal(net(lr, k=0), coarse)
        assert not torch.equal(net.trace(lr).score, score)


def test_by_default_the_style_chooses_the_stages(make: Callable[..., mga.MGATrainer]) -> None:
    assert make(stages=None).stages == mga.PAPER_STAGES
    assert make(stages=None, net=mga.accelerate(build("LongSkip", 2))).stages == mga.FINETUNE_STAGES


def test_the_original_teaches_without_ground_truth(make: Callable[..., mga.MGATrainer], images: Path) -> None:
    """Fidelity is PSNR to the original's output, also after a stage has changed its weights."""
    model = build("LongSkip", 2)
    stages = (*FINETUNE[:1], replace(FINETUNE[0], name="all", parts=("base", "refine"), rate=1e-4, least_squares=False))
    lr_only = Data(lr=images)
    one = make(
        net=mga.accelerate(model), data=lr_only, target="original", stages=stages, validation=validation(images, k=(0,))
    )
    before = Validator(one.net, validation(images, k=(0, "dense")), taught=True)
    assert before(one.net)["psnr_dense"] == float("inf")
    one.fit()
    figures = before(one.net)
    assert figures["psnr_dense"] < 80  # its weights have changed
    assert float(rows(one.output_dir)[-1]["psnr_0"]) == pytest.approx(figures["psnr_0"])


def test_original_as_target_needs_the_original(make: Callable[..., mga.MGATrainer]) -> None:
    with pytest.raises(mga.ArgumentError, match=r"target='original' for a network in style 'paper'; expected"):
        make(target="original")


def test_a_light_tail_starts_by_least_squares(make: Callable[..., mga.MGATrainer], images: Path) -> None:
    figures = {}
    for start in (True, False):
        net = mga.accelerate(build("LongSkip", 2), coarse_tail="light")
        stages = (replace(FINETUNE[0], steps=2, rate=1e-6, least_squares=start),)
        one = make(str(start), net=net, stages=stages, target="original", validation=validation(images, k=(0,)))
        one.fit()
        figures[start] = float(rows(one.output_dir)[-1]["psnr_0"])
    assert figures[True] > figures[False] + 3


# Never worse than the start -----------------------------------------------------------------------------------------


def ruined(stage: mga.Stage) -> mga.Stage:
    """At a rate at which nothing is learned."""
    return replace(stage, rate=0.9, warmup=0, steps=4)


@pytest.mark.parametrize("judged", ["by validation", "by its loss"])
def test_a_stage_ends_no_worse_than_it_starts(
    judged: str, make: Callable[..., mga.MGATrainer], images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = mga.accelerate(build("LongSkip", 2), coarse_tail="light", p=4)
    net.base.coarse_tail.requires_grad_(False)
    lr = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(1))
    mga.fit_coarse_tail(net, lr)
    given = copy.deepcopy(net)
    stage = replace(ruined(FINETUNE[0]), least_squares=False)
    asked = validation(images, k=("dense", 0)) if judged == "by validation" else None
    one = make(net=net, stages=(stage,), target="original", validation=asked)
    assert equal(one.fit(), given)
    assert equal(mga.from_pretrained(one.output_dir / "last", model=build("LongSkip", 2)), given)
    assert "coarse: ends with the weights of step 0, the best" in capsys.readouterr().err


def test_least_squares_that_is_worse_than_what_was_given_is_taken_back(
    make: Callable[..., mga.MGATrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A net may come with a coarse tail that has learned already."""

    def worse(net: mga.MGANet, images: object) -> None:
        with torch.no_grad():
            net.base.coarse_tail.last.weight.fill_(1.0)

    monkeypatch.setattr("mga_wrap.train.trainer.fit_coarse_tail", worse)
    net = mga.accelerate(build("LongSkip", 2), coarse_tail="light", p=4)
    given = copy.deepcopy(net)
    assert equal(make(net=net, stages=(ruined(FINETUNE[0]),), target="original").fit(), given)


def test_of_equals_the_last_is_kept(make: Callable[..., mga.MGATrainer], images: Path) -> None:
    """A validation of the coarse image alone says nothing of the score."""
    one = make(net=paper_net(), stages=STAGES[1:], validation=validation(images, k=(0,)))
    given = copy.deepcopy(one.net)
    assert not equal(one.fit().mask, given.mask)


def test_what_is_taught_for_the_eye_is_not_judged_by_psnr(
    make: Callable[..., mga.MGATrainer], images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = replace(STAGES[0], name="eye", losses={"coarse_sharpness": 1.0}, steps=40, rate=3e-3, parts=("base",))
    make(stages=(stage,), validation=validation(images, k=(0,), every=40)).fit()
    told = capsys.readouterr().err
    assert "eye: ends with the weights of step 40, the best" in told


# A net that was trained ---------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error::mga_wrap.UnfittedWarning")
def test_a_trained_net_is_fitted_and_says_nothing_on_the_way(make: Callable[..., mga.MGATrainer], images: Path) -> None:
    net = mga.accelerate(build("LongSkip", 2), p=4).eval()
    one = make(net=net, stages=FINETUNE, validation=validation(images, k=("auto", 0, 0.25)))
    one.fit()
    net(torch.rand(1, 3, 16, 16))
    assert net.fitted
    for name in ("last", "best"):
        assert mga.from_pretrained(one.output_dir / name, model=build("LongSkip", 2)).fitted


@pytest.mark.parametrize("data", ["hr", "lr alone"])
def test_after_its_stage_the_score_is_calibrated(
    data: str, make: Callable[..., mga.MGATrainer], images: Path, tmp_path: Path
) -> None:
    net = mga.accelerate(build("LongSkip", 2), p=4).eval()
    given = Data(lr=smooth(tmp_path / "large", side=128)) if data == "lr alone" else Data(hr=images)
    target = "original" if data == "lr alone" else "hr"
    one = make(net=net, data=given, target=target, stages=FINETUNE)
    assert one.fit().mask.is_calibrated
    lr = torch.rand(1, 3, 24, 24)
    share = mga.from_pretrained(one.output_dir / "last", model=build("LongSkip", 2)).trace(lr, k="auto").share
    assert 0 <= share <= 1
    assert net.mask.level[1].min() > 0
    assert not torch.equal(net.mask.level[:, 0], net.mask.level[:, 1])


def test_a_score_that_is_no_better_stays_and_is_not_calibrated(
    make: Callable[..., mga.MGATrainer], images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = mga.accelerate(build("LongSkip", 2), p=4)
    given = copy.deepcopy(net)
    make(net=net, stages=(ruined(FINETUNE[1]),), validation=validation(images, k=(0.25,))).fit()
    told = capsys.readouterr().err
    if "ends with the weights of step 0" in told:
        assert equal(net, given) == ("is not calibrated" in told)
    assert net.fitted


# What goes wrong -----------------------------------------------------------------------------------------------------


class KilledError(Exception):
    """Stands for a kill."""


def fails_at(call: int, monkeypatch: pytest.MonkeyPatch, value: float | None = None) -> None:
    """Let a loss raise, or be no number, when it is learned from so often; what is only judged does not count."""
    calls = 0

    def loss(out: Outputs) -> Tensor:
        nonlocal calls
        calls += torch.is_grad_enabled()
        if calls == call and value is None and torch.is_grad_enabled():
            raise KilledError
        return torch.nn.functional.l1_loss(out.coarse, out.target) * (
            value if calls == call and torch.is_grad_enabled() else 1.0
        )

    monkeypatch.setitem(losses.LOSSES, "coarse_l1", loss)


@pytest.mark.parametrize("kill", [1, 2, 5, 6])
def test_a_killed_run_goes_on_bit_for_bit(
    kill: int, make: Callable[..., mga.MGATrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = make("whole").fit()
    with monkeypatch.context() as context:
        fails_at(kill, context)
        killed = make("killed", save_seconds=0.0)
        with pytest.raises(KilledError):
            killed.fit()
    saved = load_state(killed.output_dir)
    assert (saved.stage, saved.step) == (0, kill - 1) if kill > 1 else saved is None
    assert equal(make("killed").fit(), expected)


def test_a_finished_run_trains_no_more(
    make: Callable[..., mga.MGATrainer], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = make().fit()
    log = rows(make().output_dir)
    fails_at(1, monkeypatch)
    assert equal(make().fit(), done)
    assert rows(make().output_dir) == log
    assert "all stages are done; choose another output_dir to train anew" in capsys.readouterr().err


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_and_keeps_the_state(
    value: float, make: Callable[..., mga.MGATrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_at(4, monkeypatch, value)
    one = make(save_seconds=0.0)
    message = rf"stage 'restore', step 3: the loss is {value}, .*expected finite numbers. The crops are from [ab].png"
    with pytest.raises(mga.TrainingError, match=message):
        one.fit()
    saved = load_state(one.output_dir)
    assert saved.step == 3
    assert all(tensor.isfinite().all() for tensor in saved.tensors.values())


def test_a_disk_that_fills_up_leaves_the_last_state(
    make: Callable[..., mga.MGATrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = make("whole").fit()
    sync, calls = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    with monkeypatch.context() as context:
        context.setattr(state.os, "fsync", full)
        with pytest.raises(
            mga.CheckpointError, match=r"No space left on device\); the last complete state is still there"
        ):
            make("full", save_seconds=0.0).fit()
    assert load_state(make("full").output_dir).step == 3
    assert equal(make("full").fit(), expected)


def test_an_output_dir_that_is_a_file(make: Callable[..., mga.MGATrainer], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(mga.CheckpointError, match=r"out cannot be written \(.*\); choose another output_dir"):
        make().fit()


def test_the_state_of_another_training_is_refused(make: Callable[..., mga.MGATrainer]) -> None:
    make(stages=STAGES[:1]).fit()
    with pytest.raises(
        mga.CheckpointError, match=r"holds another training \(seed 0, now 1\); give what it was started"
    ):
        make(seed=1).fit()
    with pytest.raises(mga.CheckpointError, match=r"\(stage 'restore': rate 0.001, now 0.0001\); give what"):
        make(stages=(replace(STAGES[0], rate=1e-4),)).fit()
    with pytest.raises(mga.CheckpointError, match=r"\(stage 'restore': name 'restore', now 'mask'; "):
        make(stages=STAGES[1:]).fit()
    other = mga.accelerate(build("CatFusion", 2), style="paper")
    with pytest.raises(mga.CheckpointError, match=r"another training \(.*weights of other names or shapes: of another"):
        make(net=other).fit()


def test_images_left_out_are_told(
    make: Callable[..., mga.MGATrainer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = smooth(tmp_path / "some")
    noise(folder / "small.png", 15, 15)
    (folder / "broken.png").write_bytes(b"no image")
    make(data=folder, stages=STAGES[:1]).fit()
    told = capsys.readouterr().err
    assert "small.png: 7 x 7 lr pixels; expected at least 8 x 8" in told
    assert "broken.png" in told
    assert "restore 6: loss" in told
    assert "images/s" in told


def test_small_images_are_used_where_crops_are_small(make: Callable[..., mga.MGATrainer], tmp_path: Path) -> None:
    folder = smooth(tmp_path / "some", names="a", side=32)
    large = replace(STAGES[1], crop=24)
    with pytest.raises(mga.ImageError, match=r"stage 'mask': no image is as large as a crop of 24 x 24 lr"):
        make(data=folder, stages=(STAGES[0], large)).fit()
    assert not make().output_dir.exists()
    smooth(folder, names="ab")  # b is 64 x 64
    make(data=folder, stages=(STAGES[0], large)).fit()


WRONG = [
    ({"target": "HR"}, r"got target='HR'; expected one of 'hr', 'original'"),
    ({"device": "gpu"}, r"got device='gpu'; expected one of 'auto', 'cpu'"),
    ({"precision": "fp16"}, r"got precision='fp16'; expected one of 'no', 'bf16', None"),
    ({"stages": ()}, r"got stages named \[\]; expected at least one"),
    ({"stages": (STAGES[0], STAGES[0])}, r"named \['restore', 'restore'\]; expected .* each with a name of its own"),
    ({"stages": (replace(STAGES[0], parts=("bases",)),)}, r"got the part 'bases'; .*did you mean 'base'"),
    ({"save_seconds": -1}, r"got save_seconds=-1; expected 0 or more"),
]


def test_a_network_that_is_not_accelerated(make: Callable[..., mga.MGATrainer]) -> None:
    with pytest.raises(mga.ArgumentError, match=r"got a LongSkip; expected an accelerated network: mga.accelerate"):
        make(net=build("LongSkip", 2))


def test_weights_that_are_too_coarse_to_learn(make: Callable[..., mga.MGATrainer]) -> None:
    with pytest.raises(mga.ArgumentError, match=r"got weights of torch.float16; expected float32: train net.float\(\)"):
        make(net=paper_net().half())


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_arguments(options: dict[str, object], message: str, make: Callable[..., mga.MGATrainer]) -> None:
    with pytest.raises(mga.ArgumentError, match=message):
        make(**options)
