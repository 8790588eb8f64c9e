"""Sizes that come again are recorded and replayed: the rules, on a device that only pretends to record."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

import mga_wrap as mga
from mga_wrap.bench import bench
from mga_wrap.infer import replay
from mga_wrap.infer.replay import Forward, Recording
from mga_wrap.pictures.synthetic import synthetic

SMALL, LARGE = synthetic(24, 32), synthetic(40, 56)


class Recorder:
    """Records on the CPU: a replay runs the forward again on what lies where its input lay.

    What recordings in the same memory have returned is gone then.
    """

    def __init__(self) -> None:
        self.recorded, self.replays = 0, 0
        self.made: list[Recording] = []
        self.fails, self.spoils = False, 0.0

    def __call__(self, forward: Forward, lr: Tensor, beside: Recording | None) -> Recording:
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.recorded += 1
        still = lr.clone()
        results = tuple(x.clone() for x in forward(still))

        memory = object() if beside is None else beside.memory

        def again() -> None:
            self.replays += 1
            for other in self.made:
                if other.memory is memory:
                    for result in other.results:
                        result.zero_()
            for old, new in zip(results, forward(still), strict=True):
                old.copy_(new + self.spoils if new.is_floating_point() else new)

        self.made.append(Recording(still, results, again, memory))
        return self.made[-1]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    found = Recorder()
    monkeypatch.setitem(replay.RECORDERS, "cpu", found)
    return found


@contextmanager
def silence() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def net() -> mga.MGANet:
    return mga.from_pretrained("fsrcnn-m-x2")


@pytest.mark.parametrize("k", [0, 3, 0.25, "all", "dense"])
def test_a_size_that_comes_again_is_replayed_with_the_image_at_hand(recorder: Recorder, k: mga.config.Amount) -> None:
    runner = mga.compile(net(), engine="torch")
    with silence():
        for number, lr in enumerate([SMALL, SMALL.flip(-1), SMALL * 0.5, SMALL.flip(-2)]):
            expected = mga.compile(net(), engine="torch")(lr, k=k)
            torch.testing.assert_close(runner(lr, k=k), expected, atol=1e-6, rtol=0)
            assert recorder.recorded == (number > 0)  # not a size that came once
    assert recorder.replays == 1 + 2  # one to be held against the forward


@pytest.mark.parametrize("k", [0, 0.25, "all", "dense"])
def test_what_was_refined_is_told_of_a_replay_too(recorder: Recorder, k: mga.config.Amount) -> None:
    runner, plain = mga.compile(net(), engine="torch"), mga.compile(net(), engine="torch")
    for lr in (SMALL, SMALL.flip(-1), SMALL):
        expected, found = plain.enlarge(lr, k=k), runner.enlarge(lr, k=k)
        assert found.share == expected.share
        torch.testing.assert_close(found.sr, expected.sr, atol=1e-6, rtol=0)
        (sr, trace), (its, other) = runner.trace(lr, k=k), plain.trace(lr, k=k)
        torch.testing.assert_close(sr, its, atol=1e-6, rtol=0)
        assert (trace.index is None) == (other.index is None)
        assert trace.share == other.share
        assert trace.index is None or torch.equal(trace.index, other.index)


def test_each_size_amount_and_dtype_is_recorded_for_itself_and_the_last_are_kept(recorder: Recorder) -> None:
    runner = mga.compile(net(), engine="torch")
    for _ in range(3):
        for lr in (SMALL, LARGE):
            runner(lr, k=0.25)
    assert recorder.recorded == 2
    for _ in range(2):
        runner(SMALL, k=0)
    assert recorder.recorded == 3
    before = recorder.replays
    runner(LARGE, k=0.25)  # kept
    assert (recorder.recorded, recorder.replays) == (3, before + 1)
    runner(SMALL, k=0.25)  # gone: it is seen to have come before
    assert recorder.recorded == 4


def test_recordings_share_the_memory_of_their_maps_and_each_returns_its_own(recorder: Recorder) -> None:
    runner, plain = mga.compile(net(), engine="torch"), mga.compile(net(), engine="torch")
    sizes = [synthetic(24, 32), synthetic(32, 24)] * 3
    found = [runner(lr, k=0) for lr in sizes]
    for lr, sr in zip(sizes, found, strict=True):
        torch.testing.assert_close(sr, plain(lr, k=0), atol=1e-6, rtol=0)
    first, second = recorder.made[:2]
    assert first.memory is second.memory


def test_one_patch_is_not_all_of_them(recorder: Recorder) -> None:
    runner, plain = mga.compile(net(), engine="torch"), mga.compile(net(), engine="torch")
    for _ in range(3):
        for k in (1, 1.0):
            assert torch.equal(runner(SMALL, k=k), plain(SMALL, k=k))


def test_it_follows_its_weights(recorder: Recorder) -> None:
    model = net()
    runner = mga.compile(model, engine="torch")
    for _ in range(3):
        runner(SMALL, k=0)
    with torch.no_grad():
        next(model.base.parameters()).mul_(1.5)
    replays = recorder.replays
    torch.testing.assert_close(runner(SMALL, k=0), mga.upscale(SMALL, model=model, k=0), atol=1e-6, rtol=0)
    assert recorder.replays == replays + 1  # written in place: the recording reads them
    other = net()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0.9)
    model.load_state_dict(other.state_dict(), assign=True)
    for _ in range(3):
        torch.testing.assert_close(runner(SMALL, k=0), mga.upscale(SMALL, model=other, k=0), atol=1e-6, rtol=0)
    assert recorder.recorded == 2  # they lie elsewhere


def test_what_depends_on_the_image_is_not_recorded(recorder: Recorder) -> None:
    model = mga.from_pretrained("pan-m-x2")
    runner = mga.compile(model, engine="torch")
    for _ in range(3):
        runner(SMALL, k="auto")
    model.k = "auto"
    for _ in range(3):
        runner(SMALL)
        runner.trace(SMALL)
    assert recorder.recorded == 0


def test_a_network_in_train_mode_is_not_recorded(recorder: Recorder) -> None:
    runner = mga.compile(net().train(), engine="torch")  # what runs is a copy, made anew at each call
    for _ in range(3):
        runner(SMALL, k=0)
    assert recorder.recorded == 0


def test_what_cannot_be_recorded_is_told_once_and_runs_as_before(recorder: Recorder) -> None:
    recorder.fails = True
    runner = mga.compile(net(), engine="torch")
    expected = runner(SMALL, k=0.25)
    with pytest.warns(RuntimeWarning, match=r"cannot be recorded as a CUDA graph \(operation not permitted"):
        assert torch.equal(runner(SMALL, k=0.25), expected)
    with silence():
        assert torch.equal(runner(SMALL, k=0.25), expected)


def test_a_recording_that_returns_something_else_is_told_and_not_used(recorder: Recorder) -> None:
    recorder.spoils = 0.01
    runner = mga.compile(net(), engine="torch")
    expected = runner(SMALL, k=0.25)
    with pytest.warns(RuntimeWarning, match="returns something else when it is replayed"):
        assert torch.equal(runner(SMALL, k=0.25), expected)
    with silence():
        assert torch.equal(runner(SMALL, k=0.25), expected)
    assert recorder.recorded == 1


class Large(nn.Module):
    """Beyond what float16 holds at one place of bright images."""

    scale = 1

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        nn.init.constant_(self.conv.weight, 4e4)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) / 2e5


def test_float16_that_overflows_in_a_replay_is_run_again(recorder: Recorder) -> None:
    runner = mga.compile(Large().eval(), engine="torch", dtype="float16")
    dark, bright = torch.full((1, 3, 8, 8), 0.1), torch.full((1, 3, 8, 8), 0.9)
    for lr in (dark, dark, dark):
        with silence():
            runner(lr)
    assert recorder.replays == 2
    with pytest.warns(RuntimeWarning, match="made NaN or infinity"):
        assert float(runner(bright).min()) > 0.5
    runner = mga.compile(Large().eval(), engine="torch", dtype="float16")
    for _ in range(3):
        with pytest.warns(RuntimeWarning, match="made NaN or infinity") as told:
            runner(bright)
        assert len(told) == 1
    assert recorder.recorded == 1


def test_bench_has_rows_of_recordings_and_a_note_where_there_is_none(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = mga.create_backbone("fsrcnn", scale=2)
    accelerated = mga.accelerate(model, coarse_tail="light", p=8)
    monkeypatch.setattr("mga_wrap.bench.entries.installed_engines", tuple)
    result = bench(accelerated, model, size=(32, 24), shares=[0.25], repeats=1, dtype="float32", memory=False)
    assert result.row("accelerated, CUDA graph", 0.25).macs == accelerated.macs(24, 32, k=0.25)["total"]
    assert result.row("original, best format, CUDA graph").seconds > 0
    assert recorder.replays == 2 * 2  # a round to warm up, and one that counts
    recorder.fails = True
    result = bench(accelerated, model, size=(32, 24), shares=[0.25], repeats=1, dtype="float32", memory=False)
    assert "accelerated, CUDA graph: operation not permitted when stream is capturing" in result.notes
