"""What a benchmark times: the two networks in their formats, and the original in other engines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mga_wrap.bench.memory import peak_memory
from mga_wrap.bench.result import ACCELERATED, AS_IT_RUNS, BEST_FORMAT, COARSE, COMPILED, RECORDED
from mga_wrap.bench.timing import Call, Clock, time_in_turn
from mga_wrap.counting import count_macs
from mga_wrap.engines.parts import EngineNet
from mga_wrap.engines.sessions import ENGINES_IN_BFLOAT16, installed_engines
from mga_wrap.errors import MGAError, one_line
from mga_wrap.infer.engine import DType, Format, format_for, own_dtype
from mga_wrap.infer.replay import RECORDERS, Recording, record, replayed
from mga_wrap.nets.mga import MGANet
from mga_wrap.processor import has_bfloat16

_ENGINE_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2}
"""Mean difference of another engine's result over the mean of the original's."""


@dataclass(frozen=True)
class Entry:
    """One row before it is timed."""

    name: str
    format: Format
    call: Call
    macs: int
    device: torch.device
    share: float | None = None
    net: nn.Module | None = None
    """None for another engine, whose memory is not measured."""
    options: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments of the network's forward."""

    @property
    def key(self) -> str:
        """A name that no other row has."""
        return f"{self.name}, {self.format}, {self.share}"


def entries_of(net: MGANet, original: nn.Module, lr: Tensor, best: Format, shares: Sequence[float]) -> list[Entry]:
    """The rows of the two networks: the original twice, then the accelerated network from the coarse image on."""
    height, width = lr.shape[-2:]
    macs = count_macs(original, lr)
    plain = Format(channels_last=False, dtype=lr.dtype)
    entries = [
        _network_entry(AS_IT_RUNS, original, lr, plain, macs),
        _network_entry(BEST_FORMAT, original, lr, best, macs),
        _network_entry(COARSE, net, lr, best, net.macs(height, width, k=0)["total"], share=0.0),
    ]
    for share in shares:
        macs = net.macs(height, width, k=share)["total"]
        entries.append(_network_entry(ACCELERATED, net, lr, best, macs, share=share))
    return entries


def _network_entry(
    name: str, net: nn.Module, lr: Tensor, run_format: Format, macs: int, *, share: float | None = None
) -> Entry:
    options: dict[str, float] = {} if share is None else {"k": share}  # a share of 0 is k=0

    call = Call(partial(_run_in, run_format, net, lr, **options), net if isinstance(net, MGANet) else None)
    return Entry(name, run_format, call, macs, lr.device, share, net, options)


def fastest_format(original: nn.Module, lr: Tensor, dtype: DType | None, clock: Clock) -> Format:
    """The format in which the original is fastest, by two rounds after one to warm up."""
    own = own_dtype(original)
    if dtype is not None:
        dtypes = [format_for(original, lr.device, dtype).dtype]
    elif own == torch.float32:
        lower = [torch.bfloat16] if lr.device.type != "cpu" or has_bfloat16() else []
        dtypes = [own, *lower] + ([] if lr.device.type == "cpu" else [torch.float16])
    else:
        dtypes = [own]
    formats = [Format(channels_last, kind) for kind in dtypes for channels_last in (False, True)]
    calls = {str(tried): _network_entry("original", original, lr, tried, 0).call for tried in formats}
    timings = time_in_turn(calls, repeats=2, device=lr.device, clock=clock)
    return min(formats, key=lambda tried: min(timings[str(tried)].rounds))


def engine_entries(
    net: MGANet, original: nn.Module, lr: Tensor, best: Format, shares: Sequence[float]
) -> tuple[list[Entry], list[str]]:
    """Both networks in other engines, and notes on what could not be run there.

    An engine computes in float32, and in bfloat16 where that is the best format of torch and the engine has it.
    """
    names = installed_engines()
    if lr.device.type != "cpu" or own_dtype(original) != torch.float32:
        return [], []
    wanted = [(name, torch.float32) for name in names]
    if best.dtype == torch.bfloat16:
        wanted += [(name, torch.bfloat16) for name in names if name in ENGINES_IN_BFLOAT16]
    entries, notes = [], []
    expected = original(lr.clone())
    for name, dtype in wanted:
        try:
            entries += _in_engine(net, original, lr, expected, shares, name, dtype)
        except Exception as error:  # an engine's own kinds of error; the others are measured all the same
            run_format = Format(channels_last=False, dtype=dtype)
            notes.append(f"{name}, {run_format}: {one_line(error)}")
    return entries, notes


def _in_engine(
    net: MGANet,
    original: nn.Module,
    lr: Tensor,
    expected: Tensor,
    shares: Sequence[float],
    name: str,
    dtype: torch.dtype,
) -> list[Entry]:
    """Both networks in one engine.

    Raises:
        MGAError: it cannot run them, or what it makes of the original is not what was expected.
    """
    threads, (height, width) = torch.get_num_threads(), lr.shape[-2:]
    of_original, of_net = (EngineNet(one, engine=name, dtype=dtype, threads=threads) for one in (original, net))
    difference = float((of_original(lr) - expected).abs().mean() / expected.abs().mean())
    if not difference < _ENGINE_TOLERANCE[dtype]:
        raise MGAError(f"its result differs by {difference:.1%}")
    run_format = Format(channels_last=False, dtype=dtype)
    entries = [Entry(name, run_format, Call(partial(of_original, lr)), count_macs(original, lr), lr.device)]
    for share in shares:
        call = partial(of_net, lr, k=share)
        call()  # what cannot run is told before it is timed
        macs = net.macs(height, width, k=share)["total"]
        entries.append(Entry(f"{ACCELERATED} in {name}", run_format, Call(call), macs, lr.device, share))
    return entries


def recorded_entries(entries: Sequence[Entry], lr: Tensor) -> tuple[list[Entry], list[str]]:
    """The same entries as CUDA graphs, and notes on those that cannot be one; nothing where no device records.

    Args:
        entries: of networks in torch.
        lr: (B, 3, H, W), on their device.
    """
    if lr.device.type not in RECORDERS:
        return [], []
    found, notes = [], []
    recording: Recording | None = None
    for entry in entries:
        name = f"{entry.name}{RECORDED}"
        try:
            recording = record(partial(_results_of, entry), lr, entry.format.dtype, recording)
        except RuntimeError as error:
            notes.append(f"{name}: {one_line(error)}")
            continue
        found.append(replace(entry, name=name, call=Call(partial(replayed, recording, lr)), net=None))
    return found, notes


def _results_of(entry: Entry, lr: Tensor) -> tuple[Tensor]:
    assert entry.net is not None
    return (entry.net(entry.format.lay(lr), **entry.options),)


def compiled_entry(original: nn.Module, lr: Tensor, best: Format) -> tuple[list[Entry], list[str]]:
    """The original by torch.compile in the best format, and what that took to start, or why it cannot be."""
    compiled: Any = torch.compile(original)  # a module, though its type does not say so
    call = partial(_run_in, best, compiled, lr)
    start = time.perf_counter()
    try:
        call()
    except Exception as error:  # of the compiler, of the one that it calls: each has its own kinds
        return [], [f"torch.compile: {one_line(error)}"]
    note = f"torch.compile took {time.perf_counter() - start:.0f} s to start, at each size anew"
    return [Entry(COMPILED, best, Call(call), count_macs(original, lr), lr.device)], [note]


def _run_in(run_format: Format, net: nn.Module, lr: Tensor, **options: float) -> None:
    with run_format.autocast(lr):
        net(run_format.lay(lr), **options)


def memory_of(entries: Sequence[Entry], lr: Tensor) -> tuple[dict[str, int | None], list[str]]:
    """The bytes that each of the networks takes, by the entry's key; or a note on why that is not known."""
    highest: dict[str, int | None] = {}
    for entry in entries:
        if entry.net is None:
            continue
        try:
            highest[entry.key] = peak_memory(entry.net, lr, run_format=entry.format, options=entry.options)
        except MGAError as error:
            return {}, [f"no memory: {one_line(error)}"]
    return highest, []
