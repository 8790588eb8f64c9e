"""The benchmark as it is called: its rows, its arithmetic, what it can be asked for and what it leaves alone."""

from __future__ import annotations

import doctest
import sys
from typing import Any

import pytest
import torch

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.bench import benchmark
from mga_wrap.bench.benchmark import bench, image_for
from mga_wrap.bench.result import AS_IT_RUNS, BEST_FORMAT, COARSE, Bench
from mga_wrap.counting import count_macs
from mga_wrap.engines.sessions import installed_engines

pytestmark = pytest.mark.slow

SIZE = (40, 24)
MODEL = create_backbone("fsrcnn", scale=2).train()
NET = accelerate(MODEL, p=4, halo=1)


@pytest.fixture(scope="module")
def result() -> Bench:
    return bench(NET, MODEL, size=SIZE, shares=[0.2, 1], threads=1, repeats=2, memory=False, engines=False)


def test_the_rows_are_both_networks_in_turn(result: Bench) -> None:
    assert [(row.name, row.share) for row in result.rows] == [
        (AS_IT_RUNS, None),
        (BEST_FORMAT, None),
        (COARSE, 0.0),
        ("accelerated", 0.2),
        ("accelerated", 1.0),
    ]
    first, best, *rest = result.rows
    assert (first.format, first.over_as_it_runs, best.over_best_format) == ("contiguous float32", 1.0, 1.0)
    assert {row.format for row in rest} == {best.format}
    assert "FSRCNN, 40 x 24, cpu, 1 thread(s)" in result.title


def test_macs_and_rates_are_those_of_the_image(result: Bench) -> None:
    lr = torch.rand(1, 3, SIZE[1], SIZE[0])
    assert result.row(BEST_FORMAT).macs == count_macs(MODEL, lr)
    for share in (0.2, 1):
        row = result.row("accelerated", share)
        assert row.macs == NET.macs(SIZE[1], SIZE[0], k=float(share))["total"]
        assert row.macs_per_second == row.macs / row.seconds
        assert 0 < row.of_product < 1
        assert sum(row.parts.values()) == pytest.approx(row.seconds, rel=1e-6 + 3 * row.spread / row.seconds, abs=1e-4)


def test_the_networks_are_left_as_they_were(result: Bench) -> None:
    assert MODEL.training
    assert NET.training
    assert all(not module._forward_hooks for module in NET.modules())


def test_what_is_printed_fits_80_columns_and_cuts_nothing(result: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")  # whatever the terminal is
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = str(result)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "\x1b" not in text
    for row in result.rows:
        (line,) = [line for line in text.splitlines() if row.label in line and " ± " in line]
        assert f" {row.seconds:.3f} ± {row.spread:.3f} │ " in line
        assert f" {row.over_as_it_runs:.2f} │ " in line
        assert any(row.label in other and row.format in other for other in text.splitlines())
    assert "breaks even" in text or "faster at every share" in text


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_dtype_can_be_asked_for(dtype: Any) -> None:
    found = bench(NET, MODEL, size=SIZE, shares=[0.5], dtype=dtype, repeats=1, memory=False, engines=False)
    assert found.row(BEST_FORMAT).format.endswith(f" {dtype}")
    assert found.row("accelerated", 0.5).format == found.row(BEST_FORMAT).format


def test_the_clock_is_named() -> None:
    options: dict[str, Any] = {"repeats": 1, "memory": False, "engines": False, "dtype": "float32", "shares": [0.5]}
    assert bench(NET, MODEL, size=SIZE, threads=1, clock="processor", **options).title.endswith("of the processor")


def test_threads_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = torch.get_num_threads(), []
    monkeypatch.setattr(benchmark, "fastest_format", lambda *_: seen.append(torch.get_num_threads()) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench(NET, MODEL, size=SIZE, threads=before + 1)
    assert (seen, torch.get_num_threads()) == ([before + 1], before)


def test_the_image_is_soft_and_of_the_size_and_dtype() -> None:
    lr = image_for(MODEL.to(torch.float64), (50, 30))
    assert (lr.shape, lr.dtype) == ((1, 3, 30, 50), torch.float64)
    assert float(lr.diff(dim=-1).abs().max()) < 0.2
    assert torch.equal(lr, image_for(MODEL, (50, 30)))
    MODEL.float()


@pytest.mark.skipif(not installed_engines(), reason="needs onnxruntime or openvino")
def test_other_engines_run_the_original_with_the_same_result() -> None:
    found = bench(NET, MODEL, size=SIZE, shares=[0.5], dtype="float32", repeats=1, memory=False)
    assert found.notes == ()
    for name in installed_engines():
        assert found.row(name).macs == found.row(BEST_FORMAT).macs
        assert found.row(name).seconds > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_memory_is_measured_in_the_format_that_is_timed() -> None:
    found = bench(NET, MODEL, size=(320, 240), shares=[0.5], dtype="float32", repeats=1, engines=False)
    plain = found.row(AS_IT_RUNS).memory
    assert plain is not None
    assert 56 * 320 * 240 * 4 < plain < 20 * 56 * 320 * 240 * 4  # FSRCNN has maps of 56 channels


def test_memory_that_cannot_be_measured_is_noted() -> None:
    local = type("Local", (type(MODEL),), {})(scale=2)
    found = bench(NET, local, size=SIZE, shares=[0.5], repeats=1, engines=False)
    assert [row.memory for row in found.rows] == [None] * 4
    assert "no memory: Local cannot be handed to another process" in found.notes[0]


def test_the_example_of_its_docstring_is_true() -> None:
    test = doctest.DocTestFinder().find(bench, "bench", globs={})[0]
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0
