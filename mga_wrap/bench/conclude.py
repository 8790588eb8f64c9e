"""From rounds of seconds to rows of ratios, and to the share at which acceleration breaks even."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from mga_wrap.bench.entries import Entry
from mga_wrap.bench.matrix_product import product_macs
from mga_wrap.bench.result import ACCELERATED, AS_IT_RUNS, BEST_FORMAT, Bench
from mga_wrap.bench.row import BenchRow
from mga_wrap.bench.timing import Timing


def row_of(
    entry: Entry, timing: Timing, *, as_it_runs: Timing, best_format: Timing, product: Timing, memory: int | None
) -> BenchRow:
    """What was timed, beside the two originals and beside a matrix product of its dtype."""
    product_rate = product_macs(entry.device) / product.median
    return BenchRow(
        name=entry.name,
        format=str(entry.format),
        share=entry.share,
        over_as_it_runs=timing.over(as_it_runs),
        over_best_format=timing.over(best_format),
        seconds=timing.median,
        spread=timing.spread,
        parts=timing.parts,
        macs=entry.macs,
        of_product=entry.macs / timing.median / product_rate,
        memory=memory,
    )


def conclude(
    entries: Mapping[str, Entry],
    timings: Mapping[str, Timing],
    products: Mapping[str, Timing],
    memory: Mapping[str, int | None],
    *,
    title: str,
    notes: Iterable[str],
) -> Bench:
    """The rows, and where the accelerated network breaks even.

    Args:
        entries: what was timed, by key.
        timings: of each, by the same key.
        products: of the matrix product in each dtype, by the dtype's name.
        memory: bytes at the highest, by the key of an entry; what is not there was not measured.
        title: the network, the image, the device.
        notes: what could not be measured.
    """
    by_name = {entry.name: timings[key] for key, entry in entries.items()}
    as_it_runs, best_format = by_name[AS_IT_RUNS], by_name[BEST_FORMAT]
    rows = tuple(
        row_of(
            entry,
            timings[key],
            as_it_runs=as_it_runs,
            best_format=best_format,
            product=products[str(entry.format.dtype)],
            memory=memory.get(key),
        )
        for key, entry in entries.items()
    )
    shares = [
        (entry.share, timings[key]) for key, entry in entries.items() if entry.share and entry.name == ACCELERATED
    ]
    before, refining = break_even_parts(shares, best_format)
    return Bench(
        title=title,
        rows=rows,
        break_even=(1 - before) / refining if before < 1 else None,
        before_refining=before,
        refining_all=refining,
        notes=tuple(notes),
    )


def break_even_parts(shares: Sequence[tuple[float, Timing]], original: Timing) -> tuple[float, float]:
    """What is spent whatever is refined, and what refining every patch would take, over the original's seconds.

    Both are medians over the rounds, and over the shares that were timed.
    """
    before: list[float] = []
    refining: list[float] = []
    for share, timing in shares:
        before += _over(_summed(timing, ("base", "mask")), original)
        refining.append(statistics.median(_over(_summed(timing, ("select", "refine", "paste")), original)) / share)
    return statistics.median(before), statistics.median(refining)


def _summed(timing: Timing, parts: Sequence[str]) -> list[float]:
    """Seconds of some parts together, round by round."""
    return [sum(seconds) for seconds in zip(*(timing.part_rounds[part] for part in parts), strict=True)]


def _over(rounds: Sequence[float], original: Timing) -> list[float]:
    return [seconds / of_original for seconds, of_original in zip(rounds, original.rounds, strict=True)]
