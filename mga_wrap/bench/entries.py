"""What a benchmark times: both networks in their formats, other engines, a matrix product, and memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mga_wrap.bench.engines import export, installed_peers, open_peer
from mga_wrap.bench.memory import peak_memory
from mga_wrap.bench.timing import Call, Clock, time_in_turn
from mga_wrap.counting import count_macs
from mga_wrap.errors import MGAError
from mga_wrap.graph.trace import first_line
from mga_wrap.infer.engine import DType, Format, format_for, own_dtype
from mga_wrap.infer.networks import device_of
from mga_wrap.nets.mga import MGANet

AS_RUN, BEST, COARSE = "original as it runs", "original", "coarse alone"
_PEER_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 5e-2}
"""Mean difference of a peer's result over the mean of the original's."""


@dataclass(frozen=True)
class Entry:
    """One row before it is timed."""

    name: str
    form: Format
    call: Call
    macs: int
    share: float | None = None
    net: nn.Module | None = None
    """None for a peer, whose memory is not measured."""

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the network's forward; a share of 0 is k=0."""
        return {} if self.share is None else {"k": self.share}


def entries_of(net: MGANet, original: nn.Module, lr: Tensor, form: Format, shares: Sequence[float]) -> dict[str, Entry]:
    """The rows of the two networks, by a name of each."""
    height, width = lr.shape[-2:]
    macs = count_macs(original, lr)
    plain = Format(channels_last=False, dtype=lr.dtype)
    entries = [_entry(AS_RUN, original, lr, plain, macs), _entry(BEST, original, lr, form, macs)]
    entries.append(_entry(COARSE, net, lr, form, net.macs(height, width, k=0)["total"], share=0.0))
    for share in shares:
        entries.append(_entry("accelerated", net, lr, form, net.macs(height, width, k=share)["total"], share=share))
    return {f"{entry.name}, {entry.share}": entry for entry in entries}


def _entry(name: str, net: nn.Module, lr: Tensor, form: Format, macs: int, *, share: float | None = None) -> Entry:
    options = {} if share is None else {"k": share}

    def run() -> None:
        with form.autocast(lr):
            net(form.lay(lr), **options)

    timed = net if isinstance(net, MGANet) else None
    return Entry(name, form, Call(run, timed), macs, share, net)


def fastest(original: nn.Module, lr: Tensor, dtype: DType | None, clock: Clock) -> Format:
    """The format in which the original is fastest, by two rounds after one to warm up."""
    own = own_dtype(original)
    if dtype is not None:
        dtypes = [format_for(original, lr.device, dtype).dtype]
    elif own == torch.float32:
        dtypes = [own, torch.bfloat16] + ([] if lr.device.type == "cpu" else [torch.float16])
    else:
        dtypes = [own]
    forms = {str(form): form for kind in dtypes for form in (Format(False, kind), Format(True, kind))}
    calls = {name: _entry(name, original, lr, form, 0).call for name, form in forms.items()}
    timings = time_in_turn(calls, repeats=2, device=lr.device, clock=clock)
    return forms[min(timings, key=lambda name: min(timings[name].rounds))]


def product_side(device: torch.device) -> int:
    """Of the matrices whose product shows what the machine can do."""
    return 1024 if device.type == "cpu" else 8192


def product(device: torch.device, dtype: torch.dtype) -> Callable[[], Tensor]:
    """What multiplies two square matrices."""
    side = product_side(device)
    a, b = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(2))
    return lambda: a @ b


def peers_of(original: nn.Module, lr: Tensor, form: Format) -> tuple[dict[str, Entry], list[str]]:
    """The original in other engines, and notes on those that could not run it."""
    names = installed_peers()
    if lr.device.type != "cpu" or not names or own_dtype(original) != torch.float32:
        return {}, []
    entries, notes, macs = {}, [], count_macs(original, lr)
    expected = original(lr.clone())
    wanted = [(name, torch.float32) for name in names]
    if form.dtype == torch.bfloat16:
        wanted += [(name, form.dtype) for name in names if name == "openvino"]
    try:
        onnx = export(original, lr)
    except Exception as error:  # whatever the exporter does with a network that it cannot take
        return {}, [f"no peers: the original cannot be exported to ONNX ({first_line(error)})"]
    for name, dtype in wanted:
        shown = Format(channels_last=False, dtype=dtype)
        try:
            run, sr = open_peer(name, onnx, lr, threads=torch.get_num_threads(), dtype=dtype)
            apart = float((sr.float() - expected).abs().mean() / expected.abs().mean())
            if not apart < _PEER_TOLERANCE[dtype]:
                raise MGAError(f"its result differs by {apart:.1%}")
        except Exception as error:  # a peer's own kinds of error; the others are measured all the same
            notes.append(f"{name}, {shown}: {first_line(error)}")
            continue
        entries[f"{name}, {dtype}"] = Entry(name, shown, Call(run), macs)
    return entries, notes


def memory_of(entries: Mapping[str, Entry], lr: Tensor) -> tuple[dict[str, int | None], list[str]]:
    """The bytes that each of the networks takes, or a note on why that is not known."""
    taken: dict[str, int | None] = {}
    for name, entry in entries.items():
        if entry.net is None:
            continue
        try:
            taken[name] = peak_memory(entry.net, lr, form=entry.form, options=entry.options)
        except MGAError as error:
            return {}, [f"no memory: {error}"]
    return taken, []


def image_for(original: nn.Module, size: tuple[int, int]) -> Tensor:
    """Soft spots of colour. Any image takes as long, but a trained network may run out of range on white noise."""
    width, height = size
    generator = torch.Generator().manual_seed(0)
    spots = torch.rand(1, 3, height // 8 + 2, width // 8 + 2, generator=generator)
    lr = nn.functional.interpolate(spots, size=(height, width), mode="bilinear")
    return lr.to(device_of(original) or "cpu", own_dtype(original))
