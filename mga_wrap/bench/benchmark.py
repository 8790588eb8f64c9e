"""How fast a network is after acceleration, against the same network before: one run, measured in turn."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mga_wrap.bench.checks import check_clock, check_networks, check_numbers, check_pair
from mga_wrap.bench.conclude import conclude
from mga_wrap.bench.entries import (
    Entry,
    compiled_entry,
    engine_entries,
    entries_of,
    fastest_format,
    memory_of,
    recorded_entries,
)
from mga_wrap.bench.kept import kept_entries
from mga_wrap.bench.matrix_product import matrix_product
from mga_wrap.bench.result import ACCELERATED, BEST_FORMAT, Bench
from mga_wrap.bench.timing import Call, Clock, Timing, Track, time_in_turn
from mga_wrap.infer.engine import DType, evaluating, own_dtype, torch_threads
from mga_wrap.infer.networks import device_of
from mga_wrap.nets.mga import MGANet
from mga_wrap.origin import unwrapped

SHARES = (0.1, 0.25, 0.5)


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
    engines: bool = True,
    compiled: bool = False,
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
        threads: of torch and of the other engines; None leaves torch's own number.
        repeats: rounds that count, after one that does not.
        clock: "wall", or "processor" for a machine with other work on it: seconds of this process's own work, which
            are those on the wall for one thread that is not disturbed (CPU with threads=1 only).
        engines: also run both networks in onnxruntime and OpenVINO, where they are installed, and in torch with freed
            memory kept, in a process of its own; on a GPU as CUDA graphs, see `mga_wrap.compile`.
        compiled: also run the original by torch.compile, which takes a compiler for C++ and a minute to start.
        memory: also measure memory, for which a process is started for each row on the CPU.
        track: hands the rounds on, and may show progress.

    Returns:
        The rows, and the share at which the accelerated network breaks even; `print` shows them as tables.

    Raises:
        ArgumentError: an argument is out of its range, or the two networks do not belong together.

    Example:
        ```pycon
        >>> import mga_wrap as mga
        >>> from mga_wrap.bench import bench
        >>> model = mga.create_backbone("fsrcnn", scale=2)
        >>> net = mga.accelerate(model, coarse_tail="light")
        >>> result = bench(net, model, size=(64, 48), shares=[0.25], repeats=1, memory=False)
        >>> result.row("accelerated", 0.25).macs == net.macs(48, 64, k=0.25)["total"]
        True
        >>> result.row("accelerated", 0.25).over_best_format > 0  # below 1 is faster than the original
        True

        ```
    """
    original = unwrapped(original)
    check_networks(net, original)
    check_numbers(size, shares, threads, repeats)
    check_clock(net, clock, threads)
    shares = [float(share) for share in shares]  # a k of 1 is one patch, of 1.0 all of them
    with torch_threads(threads), evaluating(original), evaluating(net):
        lr = image_for(original, size)
        check_pair(net, original, lr)
        best = fastest_format(original, lr, dtype, clock)
        own = entries_of(net, original, lr, best, shares)
        in_engines, notes = engine_entries(net, original, lr, best, shares) if engines else ([], [])
        by_compiler, compile_notes = compiled_entry(original, lr, best) if compiled else ([], [])
        again = [entry for entry in own if entry.name in (BEST_FORMAT, ACCELERATED)] if engines else []
        recorded, recorded_notes = recorded_entries(again, lr)
        with kept_entries(again if lr.device.type == "cpu" else [], lr, clock) as (kept, kept_notes):
            entries = [*own, *kept, *recorded, *by_compiler, *in_engines]
            timings, products = _timed(entries, repeats=repeats, device=lr.device, clock=clock, track=track)
        highest, memory_notes = memory_of(entries, lr) if memory else ({}, [])
        title = _title(original, lr, clock)
    by_key = {entry.key: entry for entry in entries}
    notes += compile_notes + recorded_notes + kept_notes + memory_notes
    return conclude(by_key, timings, products, highest, title=title, notes=notes)


def image_for(original: nn.Module, size: tuple[int, int]) -> Tensor:
    """Soft spots of colour. Any image takes as long, but a trained network may run out of range on white noise."""
    width, height = size
    generator = torch.Generator().manual_seed(0)
    spots = torch.rand(1, 3, height // 8 + 2, width // 8 + 2, generator=generator)
    lr = nn.functional.interpolate(spots, size=(height, width), mode="bilinear")
    return lr.to(device_of(original) or "cpu", own_dtype(original))


def _timed(
    entries: Sequence[Entry], *, repeats: int, device: torch.device, clock: Clock, track: Track
) -> tuple[dict[str, Timing], dict[str, Timing]]:
    """The entries by their keys, and a matrix product in each of their dtypes by its name: all timed in turn."""
    products = {str(e.format.dtype): Call(matrix_product(device, e.format.dtype)) for e in entries}
    calls = {entry.key: entry.call for entry in entries} | products
    timings = time_in_turn(calls, repeats=repeats, device=device, clock=clock, track=track)
    return {e.key: timings[e.key] for e in entries}, {dtype: timings[dtype] for dtype in products}


def _title(original: nn.Module, lr: Tensor, clock: Clock) -> str:
    height, width = lr.shape[-2:]
    device = f"{lr.device.type}, {torch.get_num_threads()} thread(s)" if lr.device.type == "cpu" else str(lr.device)
    seconds = ", seconds of the processor" if clock == "processor" else ""
    return f"{type(original).__name__}, {width} x {height}, {device}, torch {torch.__version__}{seconds}"
