"""How fast a network is after acceleration, against the same network before: one run, measured in turn."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn

from mga_wrap.bench.entries import (
    AS_RUN,
    BEST,
    Entry,
    entries_of,
    fastest,
    image_for,
    memory_of,
    peers_of,
    product,
    product_side,
)
from mga_wrap.bench.timing import Call, Clock, Timing, Track, time_in_turn
from mga_wrap.errors import ArgumentError
from mga_wrap.graph.trace import first_line
from mga_wrap.infer.engine import DType, evaluating
from mga_wrap.infer.networks import device_of
from mga_wrap.nets.mga import MGANet

SHARES = (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class BenchRow:
    """One way to enlarge the image."""

    name: str
    """What was run."""
    form: str
    """Memory format and dtype."""
    share: float | None
    """Refined patches over all patches; None for the original."""
    over_as_run: float
    """Its seconds over those of the original as it runs: the median over the rounds. Below 1 is faster."""
    over_best: float
    """Its seconds over those of the original in the best format."""
    seconds: float
    """The median."""
    spread: float
    """Half the distance between the quartiles, seconds."""
    parts: Mapping[str, float]
    """Median seconds of the accelerated network's parts; empty for the original."""
    macs: int
    """Multiply-accumulates of convolutions and matrix products; for a peer those of the original."""
    of_machine: float
    """Its MACs a second over those of a matrix product of the same dtype, measured in the same run."""
    memory: int | None
    """Bytes at the highest, beyond weights and libraries; None where it was not measured."""

    @property
    def macs_per_second(self) -> float:
        """MACs over the median seconds."""
        return self.macs / self.seconds


@dataclass(frozen=True)
class Bench:
    """What `bench` measured; `mga_wrap.bench.report` shows it."""

    title: str
    """The network, the image, the device."""
    rows: tuple[BenchRow, ...]
    break_even: float | None
    """The share at which the accelerated network takes as long as the original in the best format; above 1 it is
    faster even if every patch is refined; None: Base-Net and mask predictor alone take as long as the original."""
    fixed: float
    """Seconds of Base-Net and mask predictor over those of the original in the best format."""
    each: float
    """Seconds that refining every patch would take over those of the original in the best format."""
    notes: tuple[str, ...]
    """What could not be measured, and why."""

    def row(self, name: str, share: float | None = None) -> BenchRow:
        """The row of that name and share."""
        return next(row for row in self.rows if row.name == name and row.share == share)


def bench(
    net: MGANet,
    original: nn.Module,
    *,
    size: tuple[int, int] = (640, 360),
    shares: Sequence[float] = SHARES,
    dtype: DType | None = None,
    threads: int | None = None,
    repeats: int = 5,
    clock: Clock = "wall",
    peers: bool = True,
    memory: bool = True,
    track: Track = iter,
) -> Bench:
    """Time an accelerated network against the network that it was made of.

    The original is timed as users run it (eager, contiguous, float32) and in the fastest of the formats that the
    engine knows; the accelerated network is timed in that format. Everything is run once a round, so that a busy
    moment hits each alike, and ratios are taken within a round.

    Args:
        net: the accelerated network.
        original: the network that it was made of, on the same device; weights do not matter for seconds.
        size: (width, height) of the image, pixels.
        shares: of the patches that are refined, each in (0, 1].
        dtype: None takes the fastest, whose result may be a little less exact; "float32" keeps it.
        threads: of torch and of the peers; None leaves torch's own number.
        repeats: rounds that count, after one that does not.
        clock: "wall", or "processor" for a machine with other work on it: seconds of this process's own work, which
            are those on the wall for one thread that is not disturbed (CPU with threads=1 only).
        peers: also run the original in onnxruntime and OpenVINO, where they are installed (CPU only).
        memory: also measure memory, for which a process is started for each row on the CPU.
        track: hands the rounds on, and may show progress.

    Returns:
        The rows, and the share at which the accelerated network breaks even.

    Raises:
        ArgumentError: an argument is out of its range, or the two networks do not belong together.
    """
    _check(net, original, size, shares, threads, repeats)
    _check_clock(net, clock, threads)
    shares = [float(share) for share in shares]  # a k of 1 is one patch, of 1.0 all of them
    with _threads(threads), evaluating(original), evaluating(net):
        lr = image_for(original, size)
        _check_pair(net, original, lr)
        form = fastest(original, lr, dtype, clock)
        entries = entries_of(net, original, lr, form, shares)
        found, notes = peers_of(original, lr, form) if peers else ({}, [])
        entries |= found
        products = {e.form.dtype: Call(product(lr.device, e.form.dtype)) for e in entries.values()}
        timings = time_in_turn(
            {name: entry.call for name, entry in entries.items()}
            | {f"product of {kind}": call for kind, call in products.items()},
            repeats=repeats,
            device=lr.device,
            clock=clock,
            track=track,
        )
        taken, more = memory_of(entries, lr) if memory else ({}, [])
        title = _title(original, lr) + (", seconds of the processor" if clock == "processor" else "")
    rows = tuple(_row(name, entry, timings, lr.device, taken.get(name)) for name, entry in entries.items())
    return _conclude(rows, timings, [*notes, *more], title=title)


# ------------------------------------------------------------------------------------------------------- what it means
def _row(name: str, entry: Entry, timings: Mapping[str, Timing], device: torch.device, memory: int | None) -> BenchRow:
    mine = timings[name]
    product = timings[f"product of {entry.form.dtype}"].median
    machine = product_side(device) ** 3 / product
    return BenchRow(
        name=entry.name,
        form=str(entry.form),
        share=entry.share,
        over_as_run=mine.over(timings[f"{AS_RUN}, None"]),
        over_best=mine.over(timings[f"{BEST}, None"]),
        seconds=mine.median,
        spread=mine.spread,
        parts=mine.parts,
        macs=entry.macs,
        of_machine=entry.macs / mine.median / machine,
        memory=memory,
    )


def _conclude(rows: tuple[BenchRow, ...], timings: Mapping[str, Timing], notes: list[str], *, title: str) -> Bench:
    """Where the accelerated network breaks even, from the measured parts."""
    best = timings[f"{BEST}, None"]
    fixed, each = [], []
    for row in rows:
        if not row.share:
            continue
        parts = timings[f"{row.name}, {row.share}"].part_rounds
        once = [base + mask for base, mask in zip(parts["base"], parts["mask"], strict=True)]
        rest = [sum(of) for of in zip(parts["select"], parts["refine"], parts["paste"], strict=True)]
        fixed += [seconds / whole for seconds, whole in zip(once, best.rounds, strict=True)]
        each.append(statistics.median(s / whole for s, whole in zip(rest, best.rounds, strict=True)) / row.share)
    once_, each_ = statistics.median(fixed), statistics.median(each)
    return Bench(
        title=title,
        rows=rows,
        break_even=(1 - once_) / each_ if once_ < 1 else None,
        fixed=once_,
        each=each_,
        notes=tuple(notes),
    )


def _title(original: nn.Module, lr: Tensor) -> str:
    height, width = lr.shape[-2:]
    where_to = f"{lr.device.type}, {torch.get_num_threads()} thread(s)" if lr.device.type == "cpu" else str(lr.device)
    return f"{type(original).__name__}, {width} x {height}, {where_to}, torch {torch.__version__}"


# -------------------------------------------------------------------------------------------------------------- border
def _check(
    net: MGANet, original: nn.Module, size: tuple[int, int], shares: Sequence[float], threads: int | None, repeats: int
) -> None:
    if not isinstance(net, MGANet):
        raise ArgumentError(f"got net of type {type(net).__name__}; expected an MGANet: see mga_wrap.accelerate")
    if isinstance(original, MGANet) or not isinstance(original, nn.Module):
        raise ArgumentError(
            f"got original of type {type(original).__name__}; expected the network that was accelerated, an nn.Module"
        )
    if device_of(net) != device_of(original):
        raise ArgumentError(
            f"got the accelerated network on {device_of(net)} and the original on {device_of(original)}; "
            "move one of them"
        )
    if len(size) != 2 or not all(_whole(side) for side in size):
        raise ArgumentError(f"got size={size!r}; expected (width, height) in pixels, e.g. (640, 360)")
    if not shares or any(isinstance(share, bool) or not 0 < share <= 1 for share in shares):
        raise ArgumentError(f"got shares={shares!r}; expected one or more numbers in (0, 1], e.g. 0.25")
    if len(set(shares)) < len(shares):
        raise ArgumentError(f"got shares={shares!r}; expected each share once")
    if threads is not None and not _whole(threads):
        raise ArgumentError(f"got threads={threads!r}; expected a whole number, at least 1")
    if not _whole(repeats):
        raise ArgumentError(f"got repeats={repeats!r}; expected a whole number, at least 1")


def _check_clock(net: MGANet, clock: Clock, threads: int | None) -> None:
    if clock not in get_args(Clock):
        raise ArgumentError(f"got clock={clock!r}; expected one of {', '.join(get_args(Clock))}")
    device = device_of(net)
    if clock == "processor" and (threads != 1 or (device is not None and device.type != "cpu")):
        raise ArgumentError(
            f"got clock='processor' with threads={threads} on {device}; expected threads=1 on the CPU: several threads "
            "work several seconds in one"
        )


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _check_pair(net: MGANet, original: nn.Module, lr: Tensor) -> None:
    """Run both once: the image may be too small, too large or of the wrong kind for either."""
    try:
        sr = original(lr.clone())
        same = net(lr, k=0).shape == sr.shape
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
        width, height = lr.shape[-1], lr.shape[-2]
        raise ArgumentError(
            f"the networks failed on an image of {width} x {height} ({first_line(error)}); give another size"
        ) from error
    if not same:
        raise ArgumentError(
            f"the original turns {tuple(lr.shape)} into {tuple(sr.shape)}, the accelerated network does not; give the "
            "network that was accelerated"
        )


@contextmanager
def _threads(threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        if threads is not None:
            torch.set_num_threads(threads)
        yield
    finally:
        torch.set_num_threads(before)
