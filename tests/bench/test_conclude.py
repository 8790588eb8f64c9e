"""The arithmetic of a benchmark, on seconds that are given: ratios within a round, and the break-even."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mga_wrap.bench.conclude import break_even_parts, conclude
from mga_wrap.bench.entries import Entry
from mga_wrap.bench.matrix_product import product_macs
from mga_wrap.bench.result import AS_IT_RUNS, BEST_FORMAT, Bench
from mga_wrap.bench.timing import Call, Timing
from mga_wrap.infer.engine import Format

CPU = torch.device("cpu")
FLOAT32 = Format(channels_last=False, dtype=torch.float32)
PARTS = {"base": 0.9, "mask": 0.1, "select": 0.1, "refine": 0.3, "paste": 0.1}


def rounds(seconds: float) -> tuple[float, ...]:
    """Of a machine that slows down in the last round."""
    return tuple(seconds * slowness for slowness in (1.0, 1.0, 4.0))


def in_parts(parts: dict[str, float]) -> Timing:
    return Timing(rounds(sum(parts.values())), {name: rounds(seconds) for name, seconds in parts.items()})


def concluded(**parts: float) -> Bench:
    """An original that takes 4 s as it runs and 2 s in its best format, and a network at a share of 0.5."""
    entries = [
        Entry(AS_IT_RUNS, FLOAT32, Call(int), 100, CPU),
        Entry(BEST_FORMAT, FLOAT32, Call(int), 100, CPU),
        Entry("accelerated", FLOAT32, Call(int), 60, CPU, share=0.5),
    ]
    timings = [Timing(rounds(4.0), {}), Timing(rounds(2.0), {}), in_parts(PARTS | parts)]
    return conclude(
        {entry.key: entry for entry in entries},
        {entry.key: timing for entry, timing in zip(entries, timings, strict=True)},
        {"torch.float32": Timing(rounds(0.5), {})},
        {entries[1].key: 2**20},
        title="t",
        notes=["a note"],
    )


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, 1.0),  # 1 s once, 0.5 s for half of the patches
        ({"refine": 0.8}, 0.5),
        ({"base": 1.9}, None),
        ({"base": 0.1}, 1.8),
    ],
)
def test_it_breaks_even_where_the_parts_say(parts: dict[str, float], expected: Any) -> None:
    found = concluded(**parts)
    assert found.break_even == (None if expected is None else pytest.approx(expected))


def test_every_row_stands_beside_the_originals_and_the_product() -> None:
    found = concluded()
    row = found.row("accelerated", 0.5)
    assert (row.over_as_it_runs, row.over_best_format) == pytest.approx((1.5 / 4, 1.5 / 2))
    assert (row.macs, row.memory, found.row(BEST_FORMAT).memory) == (60, None, 2**20)
    assert row.seconds == pytest.approx(1.5)
    assert row.of_product == pytest.approx((60 / 1.5) / (product_macs(CPU) / 0.5))
    assert row.parts == PARTS
    assert (found.title, found.notes) == ("t", ("a note",))


def test_what_is_spent_before_and_on_refining_is_over_all_shares() -> None:
    half, whole = in_parts(PARTS), in_parts(PARTS | {"base": 1.1, "refine": 0.8})
    before, refining = break_even_parts([(0.5, half), (1.0, whole)], Timing(rounds(2.0), {}))
    assert before == pytest.approx((0.5 + 0.6) / 2)
    assert refining == pytest.approx((0.5 + 0.5) / 2)
