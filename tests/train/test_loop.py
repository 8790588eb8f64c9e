"""The training loop: what learns, at which rate, and that a kill costs nothing but time."""

from __future__ import annotations

import copy
import csv
import importlib.util
import itertools
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from networks import build
from PIL import Image
from torch import Tensor, nn

import mga_wrap as mga
from mga_wrap.train import loop
from mga_wrap.train.data import Crops
from mga_wrap.train.loop import Run, average, schedule, trainable
from mga_wrap.train.losses import mask_loss, restoration_loss, squared_loss
from mga_wrap.train.stages import Stage, paper_stages

STAGES = (
    Stage("restore", ("base", "refine"), restoration_loss, steps=6, batch=2, crop=8, lr=1e-3, warmup=2),
    Stage("mask", ("mask",), mask_loss, steps=4, batch=2, crop=8, lr=1e-3, warmup=1),
)


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        small = Image.fromarray(rng.integers(0, 256, (12, 15, 3), dtype=np.uint8))
        small.resize((150, 120), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def run(images: Path, tmp_path: Path) -> Callable[..., Run]:
    def make(name: str = "run", **changes: object) -> Run:
        values = {
            "net": mga.accelerate(build("LongSkip", 2), style="paper"),
            "stages": STAGES,
            "data": lambda crop: Crops(images, scale=2, crop=crop),
            "output_dir": tmp_path / name,
            "validate": lambda _: {"psnr": 1.0},
        }
        return Run(**{**values, **changes})

    return make


def log(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def equal(one: nn.Module, two: nn.Module) -> bool:
    state = two.state_dict()
    return all(torch.equal(value, state[name]) for name, value in one.state_dict().items())


def fails_at(call: int, error: Exception) -> Callable[..., Tensor]:
    """A loss that raises at its n-th call (the first is 1)."""
    calls = 0

    def loss(net: mga.MGANet, lr: Tensor, hr: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == call:
            raise error
        return restoration_loss(net, lr, hr)

    return loss


@pytest.mark.parametrize("parts", [("base",), ("mask",), ("base", "refine"), ()])
def test_only_the_named_parts_learn(parts: tuple[str, ...]) -> None:
    net = mga.accelerate(build("LongSkip", 2), style="paper")
    weights = trainable(net, parts)
    expected = [parameter for part in parts for parameter in getattr(net, part).parameters()]
    assert {id(weight) for weight in weights} == {id(weight) for weight in expected}
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad == (name.split(".")[0] in parts)


def test_an_unknown_part_lists_the_parts() -> None:
    net = mga.accelerate(build("LongSkip", 2))
    with pytest.raises(mga.MGAError, match=r"got the parts \['tail'\]; the network has \['base', 'mask', 'refine'\]"):
        trainable(net, ("base", "tail"))


def test_the_schedule_warms_up_and_ends_at_zero() -> None:
    stage = replace(STAGES[0], steps=100, warmup=10)
    rates = [schedule(step, stage) for step in range(101)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert 0 < rates[99] < 1e-3
    assert all(one > two for one, two in itertools.pairwise(rates[10:]))
    assert schedule(5, replace(stage, steps=5, warmup=0)) == pytest.approx(0)
    assert 0 < schedule(3, replace(stage, steps=5, warmup=200)) < 1  # shorter than its warm-up


def test_the_average_moves_weights_and_copies_statistics() -> None:
    old, new = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    with torch.no_grad():
        new.weight.fill_(3.0)
        new.running_mean.fill_(7.0)
    average(old, new, 0.75)
    assert torch.equal(old.weight, torch.full((2,), 1.5))
    assert torch.equal(old.running_mean, new.running_mean)
    assert old.weight.requires_grad


def test_the_papers_stages() -> None:
    restore, polish, balance, psnr, mask = paper_stages(1200)
    assert (restore.steps, restore.parts, restore.loss) == (1200, ("base", "refine"), restoration_loss)
    assert (polish.parts, polish.loss) == (("base", "refine"), squared_loss)
    assert all((stage.parts, stage.crop) == (("base", "refine"), 48) for stage in (balance, psnr))
    assert (mask.parts, mask.loss) == (("mask",), mask_loss)
    assert all(stage.steps >= 1 for stage in paper_stages(1))


def test_each_stage_trains_its_parts_alone(run: Callable[..., Run]) -> None:
    one = run(stages=STAGES[:1])
    start = copy.deepcopy(one.net)
    after = one.fit()
    assert equal(after.mask, start.mask)
    assert not equal(after.base, start.base)
    assert not equal(after.refine, start.refine)
    both = run().fit()  # in the same folder: goes on with the second stage
    assert equal(both.base, after.base)
    assert equal(both.refine, after.refine)
    assert not equal(both.mask, after.mask)
    rows = log(run().output_dir)
    assert [(row["stage"], row["step"], row["psnr"]) for row in rows] == [("restore", "6", "1.0"), ("mask", "4", "1.0")]


def test_training_lowers_the_loss(run: Callable[..., Run], images: Path) -> None:
    stage = replace(STAGES[0], steps=60, lr=3e-3)
    crops = Crops(images, scale=2, crop=8, seed=9).batch(0, 16)
    one = run(stages=(stage,))
    before = restoration_loss(one.net, *crops).item()
    assert restoration_loss(one.fit(), *crops).item() < 0.8 * before


@pytest.mark.parametrize("kill", [2, 5, 6])
def test_a_killed_run_goes_on_bit_for_bit(kill: int, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run("whole").fit()
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)  # saved after every step
    killed = run("killed", stages=(replace(STAGES[0], loss=fails_at(kill, KilledError())), STAGES[1]))
    with pytest.raises(KilledError):
        killed.fit()
    state = torch.load(killed.output_dir / "state.pt", weights_only=True)
    assert (state["stage"], state["step"]) == (0, kill - 1)
    assert equal(run("killed").fit(), expected)
    assert sorted(path.name for path in killed.output_dir.iterdir()) == ["log.csv", "state.pt"]


def test_a_run_killed_between_two_saves_repeats_the_steps(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run("whole").fit()

    def killed(_: mga.MGANet) -> dict[str, float]:
        raise KilledError

    with monkeypatch.context() as context:
        context.setattr(loop, "SAVE_SECONDS", 1e9)
        with pytest.raises(KilledError):
            run("killed", validate=killed).fit()  # at the end of the first stage, before it was saved
        assert not (run("killed").output_dir / "state.pt").exists()
    assert equal(run("killed").fit(), expected)


def test_a_kill_while_saving_leaves_the_last_state(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run("whole").fit()
    save, calls = torch.save, 0

    def half(state: object, path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            path.write_bytes(b"half")
            raise KilledError
        save(state, path)

    with monkeypatch.context() as context:
        context.setattr(loop, "SAVE_SECONDS", 0.0)
        context.setattr(torch, "save", half)
        with pytest.raises(KilledError):
            run("killed").fit()
    assert equal(run("killed").fit(), expected)
    assert not list(run("killed").output_dir.glob("*.part"))


def test_a_finished_run_trains_no_more(run: Callable[..., Run]) -> None:
    done = run().fit()
    stages = tuple(replace(stage, loss=fails_at(1, KilledError())) for stage in STAGES)
    assert equal(run(stages=stages).fit(), done)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_and_keeps_the_state(
    value: float, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def loss(net: mga.MGANet, lr: Tensor, hr: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return restoration_loss(net, lr, hr) * (value if calls == 4 else 1.0)

    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    broken = run(stages=(replace(STAGES[0], loss=loss), STAGES[1]))
    with pytest.raises(mga.MGAError, match=rf"the loss of stage 'restore' is {value} at step 3; lower its lr"):
        broken.fit()
    state = torch.load(broken.output_dir / "state.pt", weights_only=True)
    assert state["step"] == 3
    assert all(tensor.isfinite().all() for tensor in state["net"].values())


@pytest.mark.parametrize("content", [b"", b"no state", b"PK\x03\x04"])
def test_a_broken_state_is_named(content: bytes, run: Callable[..., Run]) -> None:
    one = run()
    one.output_dir.mkdir()
    (one.output_dir / "state.pt").write_bytes(content)
    with pytest.raises(mga.CheckpointError, match=r"state.pt cannot be read \(\w+\); delete it to start again"):
        one.fit()


def test_the_state_of_another_network_is_named(run: Callable[..., Run]) -> None:
    run(stages=STAGES[:1]).fit()
    other = mga.accelerate(build("CatFusion", 2), style="paper")
    with pytest.raises(mga.CheckpointError, match=r"state.pt is of another network; choose another folder or delete"):
        run(net=other).fit()


# The training script -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "examples" / "train_fsrcnn.py"
    spec = importlib.util.spec_from_file_location("train_fsrcnn", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_training_script_from_end_to_end(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    for folder in ("data", "val"):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            image = Image.fromarray(rng.integers(0, 256, (10, 10, 3), dtype=np.uint8))
            image.resize((112, 104), Image.Resampling.BICUBIC).save(tmp_path / folder / f"{name}.png")
    arguments = ["--data", tmp_path / "data", "--val", tmp_path / "val", "--out", tmp_path / "out"]
    threads = torch.get_num_threads()
    command = ["train_fsrcnn.py", "--scale", "2", "--steps", "12", "--threads", threads, *arguments]
    monkeypatch.setattr(sys, "argv", [str(argument) for argument in command])
    with torch.random.fork_rng():
        script.main()
    net = mga.from_pretrained(tmp_path / "out")
    assert (net.scale, net.p, net.halo, net.recipe["split_at"]) == (2, 4, 1, "body.2")
    rows = log(tmp_path / "out")
    assert [row["stage"] for row in rows] == ["restore", "polish", "balance", "psnr", "mask"]
    assert all(5 < float(row[name]) < 60 for row in rows for name in ("psnr_B", "psnr_M", "psnr_A"))
    fresh = script.build(2)
    assert not equal(net.base, fresh.base)
    assert not equal(net.mask, fresh.mask)
