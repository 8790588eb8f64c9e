"""Seconds, measured in turn: every call once a round, so that a busy moment of the machine hits each alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import nn

from mga_wrap.nets.mga import MGANet

PARTS = ("base", "mask", "select", "refine", "paste")
"""What an `MGANet` does, in order; "select" is the choice of patches and the gathering of their windows."""
Track = Callable[[Sequence[int]], Iterable[int]]
"""Hands the rounds on one by one, and may show how many there are, as `rich.progress.track` does."""

Clock = Literal["wall", "processor"]
"""What a second is: one on the wall, or one of this process's work, which other processes do not lengthen."""


@dataclass(frozen=True)
class Call:
    """What is timed."""

    run: Callable[[], object]
    net: MGANet | None = None
    """The network that `run` calls once, to be timed by part."""
    seconds: Callable[[], float] | None = None
    """Runs it elsewhere, and says what it took there; `run` is then not called."""


@dataclass(frozen=True)
class Timing:
    """The seconds of one call, round by round."""

    rounds: tuple[float, ...]
    part_rounds: Mapping[str, tuple[float, ...]]

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.rounds)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, in seconds; 0 for a single round."""
        return _spread(self.rounds)

    @property
    def parts(self) -> dict[str, float]:
        """The median seconds of each of `PARTS` that ran; their sum is near the median of the whole."""
        return {name: statistics.median(rounds) for name, rounds in self.part_rounds.items()}

    def over(self, other: Timing) -> float:
        """The median over the rounds of these seconds over the other's, measured in the same call."""
        return statistics.median(own / others for own, others in zip(self.rounds, other.rounds, strict=True))


def time_in_turn(
    calls: Mapping[str, Call],
    *,
    repeats: int,
    warmup: int = 1,
    device: torch.device,
    clock: Clock = "wall",
    track: Track = iter,
) -> dict[str, Timing]:
    """Time every call once a round.

    Args:
        calls: what is timed, by name.
        repeats: rounds that count.
        warmup: rounds before them that do not.
        device: where the calls work; it is waited for at each mark, so that nothing counts for the part after it.
        clock: see `Clock`.
        track: see `Track`.
    """
    now = _reader_of(device, clock)
    totals: dict[str, list[float]] = {name: [] for name in calls}
    parts: dict[str, dict[str, list[float]]] = {name: {} for name in calls}
    for number in track(range(warmup + repeats)):
        for name, call in calls.items():
            seconds, by_part = _timed(call, now)
            if number < warmup:
                continue
            totals[name].append(seconds)
            for part, value in by_part.items():
                parts[name].setdefault(part, []).append(value)
    return {
        name: Timing(tuple(totals[name]), {part: tuple(values) for part, values in parts[name].items()})
        for name in calls
    }


def _timed(call: Call, now: Callable[[], float]) -> tuple[float, dict[str, float]]:
    if call.seconds is not None:
        return call.seconds(), {}
    with _marked(call.net, now) as marks:
        start = now()
        call.run()
        end = now()
    return end - start, _parts([("start", start), *marks, ("end", end)]) if marks else {}


def _parts(marks: Sequence[tuple[str, float]]) -> dict[str, float]:
    """From the moments at which parts began and ended to seconds; between two parts lies one that has no module."""
    between = {("base", "refine"): "select", ("mask", "refine"): "select", ("refine", "end"): "paste"}
    seconds = dict.fromkeys(PARTS, 0.0)
    for (last, since), (name, until) in pairwise(marks):
        part = name if last in (name, "start") else between.get((last, name), last)
        seconds[part] += until - since
    return seconds


@contextmanager
def _marked(net: MGANet | None, now: Callable[[], float]) -> Iterator[list[tuple[str, float]]]:
    """Collect when each part begins and ends, by hooks that are gone afterwards."""
    marks: list[tuple[str, float]] = []

    def mark(part: str) -> Callable[..., None]:
        def hook(*_: Any) -> None:
            marks.append((part, now()))

        return hook

    with ExitStack() as stack:
        for part in ("base", "mask", "refine") if net is not None else ():
            module: nn.Module = getattr(net, part)
            stack.callback(module.register_forward_pre_hook(mark(part)).remove)
            stack.callback(module.register_forward_hook(mark(part)).remove)
        yield marks


def _reader_of(device: torch.device, clock: Clock) -> Callable[[], float]:
    """What tells the seconds, when the device has done all that it was given."""
    read = time.process_time if clock == "processor" else time.perf_counter

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()
        return read()

    return now


def _spread(rounds: Sequence[float]) -> float:
    if len(rounds) < 2:
        return 0.0
    low, _, high = statistics.quantiles(rounds, n=4, method="inclusive")
    return (high - low) / 2
