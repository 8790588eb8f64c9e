"""What a benchmark times: the two networks in their formats, and the original in other engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mga_wrap.bench.memory import peak_memory
from mga_wrap.bench.result import ACCELERATED, AS_IT_RUNS, BEST_FORMAT, COARSE
from mga_wrap.bench.timing import Call, Clock, time_in_turn
from mga_wrap.counting import count_macs
from mga_wrap.engines.parts import EngineNet
from mga_wrap.engines.sessions import ENGINES_IN_BFLOAT16, installed_engines
from mga_wrap.errors import MGAError, one_line
from mga_wrap.infer.engine import DType, Format, format_for, own_dtype
from mga_wrap.nets.mga import MGANet

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
    options = {} if share is None else {"k": share}  # a share of 0 is k=0

    def run() -> None:
        with run_format.autocast(lr):
            net(run_format.lay(lr), **options)

    timed_by_part = net if isinstance(net, MGANet) else None
    return Entry(name, run_format, Call(run, timed_by_part), macs, lr.device, share, net, options)


def fastest_format(original: nn.Module, lr: Tensor, dtype: DType | None, clock: Clock) -> Format:
    """The format in which the original is fastest, by two rounds after one to warm up."""
    own = own_dtype(original)
    if dtype is not None:
        dtypes = [format_for(original, lr.device, dtype).dtype]
    elif own == torch.float32:
        dtypes = [own, torch.bfloat16] + ([] if lr.device.type == "cpu" else [torch.float16])
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
    expected, (height, width) = original(lr.clone()), lr.shape[-2:]
    for name, dtype in wanted:
        run_format = Format(channels_last=False, dtype=dtype)

        def entry(of: nn.Module, label: str, macs: int, share: float | None) -> Entry:
            call = _engine_call(engines[of], lr, share)  # noqa: B023  # called within the round
            return Entry(label, run_format, Call(call), macs, lr.device, share)  # noqa: B023

        try:
            engines = {
                one: EngineNet(one, engine=name, dtype=dtype, threads=torch.get_num_threads())
                for one in (original, net)
            }
            difference = float((engines[original](lr) - expected).abs().mean() / expected.abs().mean())
            if not difference < _ENGINE_TOLERANCE[dtype]:
                raise MGAError(f"its result differs by {difference:.1%}")
            entries.append(entry(original, name, count_macs(original, lr), None))
            for share in shares:
                engines[net](lr, k=share)  # what cannot run is told before it is timed
                macs = net.macs(height, width, k=share)["total"]
                entries.append(entry(net, f"{ACCELERATED} in {name}", macs, share))
        except Exception as error:  # an engine's own kinds of error; the others are measured all the same
            notes.append(f"{name}, {run_format}: {one_line(error)}")
    return entries, notes


def _engine_call(net: EngineNet, lr: Tensor, share: float | None) -> Callable[[], None]:
    def run() -> None:
        net(lr, k=share)

    return run


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
