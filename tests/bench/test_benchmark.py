"""The benchmark: its rows, its arithmetic, where it breaks even, what it says, what it refuses."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.bench import benchmark
from mga_wrap.bench import engines as peers
from mga_wrap.bench import entries as contest
from mga_wrap.bench.benchmark import Bench, BenchRow, bench
from mga_wrap.bench.entries import AS_RUN, BEST, COARSE
from mga_wrap.bench.report import csv_text, json_text, markdown, verdict
from mga_wrap.bench.timing import Timing
from mga_wrap.counting import count_macs
from mga_wrap.errors import ArgumentError

SIZE = (40, 24)
MODEL = create_backbone("fsrcnn", scale=2).train()
NET = accelerate(MODEL, p=4, halo=1)


@pytest.fixture(scope="module")
def result() -> Bench:
    return bench(NET, MODEL, size=SIZE, shares=[0.2, 1], threads=1, repeats=2, memory=False, peers=False)


def test_the_rows_are_both_networks_in_turn(result: Bench) -> None:
    assert [(row.name, row.share) for row in result.rows] == [
        (AS_RUN, None),
        (BEST, None),
        (COARSE, 0.0),
        ("accelerated", 0.2),
        ("accelerated", 1.0),
    ]
    first, best, *rest = result.rows
    assert (first.form, first.over_as_run, best.over_best) == ("contiguous float32", 1.0, 1.0)
    assert {row.form for row in rest} == {best.form}
    assert "FSRCNN, 40 x 24, cpu, 1 thread(s)" in result.title


def test_macs_and_rates_are_those_of_the_image(result: Bench) -> None:
    lr = torch.rand(1, 3, SIZE[1], SIZE[0])
    assert result.row(BEST).macs == count_macs(MODEL, lr)
    for share in (0.2, 1):
        row = result.row("accelerated", share)
        assert row.macs == NET.macs(SIZE[1], SIZE[0], k=float(share))["total"]
        assert row.macs_per_second == row.macs / row.seconds
        assert 0 < row.of_machine < 1
        assert sum(row.parts.values()) == pytest.approx(row.seconds, rel=1e-6 + 3 * row.spread / row.seconds, abs=1e-4)


def test_the_networks_are_left_as_they_were(result: Bench) -> None:
    assert MODEL.training
    assert NET.training
    assert all(not module._forward_hooks for module in NET.modules())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_dtype_can_be_asked_for(dtype: Any) -> None:
    found = bench(NET, MODEL, size=SIZE, shares=[0.5], dtype=dtype, repeats=1, memory=False, peers=False)
    assert found.row(BEST).form.endswith(f" {dtype}")
    assert found.row("accelerated", 0.5).form == found.row(BEST).form


def test_the_clock_is_named() -> None:
    options: dict[str, Any] = {"repeats": 1, "memory": False, "peers": False, "dtype": "float32", "shares": [0.5]}
    assert bench(NET, MODEL, size=SIZE, threads=1, clock="processor", **options).title.endswith("of the processor")


def test_threads_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = torch.get_num_threads(), []
    monkeypatch.setattr(benchmark, "fastest", lambda *_: seen.append(torch.get_num_threads()) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench(NET, MODEL, size=SIZE, threads=before + 1)
    assert (seen, torch.get_num_threads()) == ([before + 1], before)


# ---------------------------------------------------------------------------------------------------------- break-even
def concluded(*, base: float, refine: float, mask: float = 0.1) -> Bench:
    """An original that takes 2 s, and a network that takes these at a share of 0.5, on a machine that slows down."""
    speeds = (1.0, 1.0, 4.0)

    def rounds(seconds: float) -> tuple[float, ...]:
        return tuple(seconds * speed for speed in speeds)

    def row(name: str, share: float | None) -> BenchRow:
        return BenchRow(
            name=name,
            form="f",
            share=share,
            over_as_run=0.5,
            over_best=1,
            seconds=1,
            spread=0,
            parts={},
            macs=1,
            of_machine=1,
            memory=None,
        )

    parts = {"base": base, "mask": mask, "select": 0.1, "refine": refine, "paste": 0.1}
    timings = {
        f"{BEST}, None": Timing(rounds(2.0), {}),
        "accelerated, 0.5": Timing(rounds(sum(parts.values())), {name: rounds(s) for name, s in parts.items()}),
    }
    return benchmark._conclude((row(BEST, None), row("accelerated", 0.5)), timings, ["a note"], title="t")


@pytest.mark.parametrize(
    ("base", "refine", "expected", "text"),
    [
        (0.9, 0.3, 1.0, "breaks even at a share of 1.00"),  # 1 s once, 0.5 s for half of the patches
        (0.9, 0.8, 0.5, "take 0.50 of the original's time, refining everything would take 1.00: it breaks even at a"),
        (1.9, 0.3, None, "it never breaks even. Cut earlier, or try coarse_tail='light'."),
        (0.1, 0.3, 1.8, "it is faster at every share"),
    ],
)
def test_it_breaks_even_where_the_parts_say(base: float, refine: float, expected: Any, text: str) -> None:
    found = concluded(base=base, refine=refine)
    assert found.break_even == (None if expected is None else pytest.approx(expected))
    assert any(text in line for line in verdict(found))
    assert verdict(found)[-1] == "note: a note"


def test_slower_is_called_slower(result: Bench) -> None:
    for ratio, text in ((0.8, "faster than that"), (1.2, "SLOWER than that")):
        rows = tuple(replace(row, over_best=ratio) if row.share else row for row in result.rows)
        assert text in verdict(replace(result, rows=rows))[0]


# --------------------------------------------------------------------------------------------------------------- files
def test_csv_and_json_hold_every_row_and_markdown_shows_it(result: Bench) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(result))))
    loaded = json.loads(json_text(result))
    shown = markdown(result)
    for row, line, entry in zip(result.rows, rows, loaded["rows"], strict=True):
        assert (line["name"], float(line["seconds"]), int(line["macs"])) == (row.name, row.seconds, row.macs)
        assert (entry["form"], entry["parts"]) == (row.form, dict(row.parts))
        assert f"| {row.form} | {row.over_as_run:.2f} | {row.over_best:.2f} |" in shown
    assert loaded["break_even"] == result.break_even
    assert float(rows[3]["refine_seconds"]) == result.row("accelerated", 0.2).parts["refine"]


# --------------------------------------------------------------------------------------------------------------- peers
@pytest.mark.skipif(not peers.installed_peers(), reason="needs onnxruntime or openvino")
def test_peers_run_the_original_with_the_same_result() -> None:
    found = bench(NET, MODEL, size=SIZE, shares=[0.5], dtype="float32", repeats=1, memory=False)
    assert found.notes == ()
    for name in peers.installed_peers():
        assert found.row(name).macs == found.row(BEST).macs
        assert found.row(name).seconds > 0


def test_peers_that_fail_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "installed_peers", lambda: ("onnxruntime", "openvino"))
    monkeypatch.setattr(contest, "export", lambda net, lr: b"")
    answers = {"onnxruntime": lambda lr: lr.new_zeros(1), "openvino": lambda lr: 1 / 0}
    monkeypatch.setattr(contest, "open_peer", lambda name, onnx, lr, **_: (lambda: None, answers[name](lr)))
    found = bench(NET, MODEL, size=SIZE, shares=[0.5], dtype="float32", repeats=1, memory=False)
    assert [row.name for row in found.rows][-1] == "accelerated"
    assert found.notes == (
        "onnxruntime, contiguous float32: its result differs by 100.0%",
        "openvino, contiguous float32: division by zero",
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
def test_memory_is_measured_in_the_format_that_is_timed() -> None:
    found = bench(NET, MODEL, size=(320, 240), shares=[0.5], dtype="float32", repeats=1, peers=False)
    plain = found.row(AS_RUN).memory
    assert plain is not None
    assert 56 * 320 * 240 * 4 < plain < 20 * 56 * 320 * 240 * 4  # FSRCNN has maps of 56 channels


def test_memory_that_cannot_be_measured_is_noted() -> None:
    local = type("Local", (type(MODEL),), {})(scale=2)
    found = bench(NET, local, size=SIZE, shares=[0.5], repeats=1, peers=False)
    assert [row.memory for row in found.rows] == [None] * 4
    assert "no memory: Local cannot be handed to another process" in found.notes[0]


# ---------------------------------------------------------------------------------------------------------- wrong calls


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
        ({"dtype": "half"}, "dtype='half'; expected one of float32"),
    ],
)
def test_a_wrong_call_is_refused(options: dict[str, Any], text: str) -> None:
    given: dict[str, Any] = {"net": NET, "original": MODEL, "size": SIZE, **options}
    net, original = given.pop("net"), given.pop("original")
    with pytest.raises(ArgumentError, match=text):
        bench(net, original, **given)
