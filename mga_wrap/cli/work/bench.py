"""What `mga-wrap bench` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from torch import nn

from mga_wrap.backbones.registry import create_backbone
from mga_wrap.bench import report
from mga_wrap.bench.benchmark import SHARES
from mga_wrap.bench.benchmark import bench as measure
from mga_wrap.bench.timing import Clock
from mga_wrap.cli.work.each import progress_bar
from mga_wrap.cli.work.network import Given, check_uncut
from mga_wrap.config import CutConfig
from mga_wrap.hub import from_pretrained
from mga_wrap.infer.engine import check_dtype
from mga_wrap.infer.networks import pick_device
from mga_wrap.making import accelerate_as
from mga_wrap.nets.mga import MGANet
from mga_wrap.networks import load_network
from mga_wrap.pictures.files import open_whole


def bench(
    network: str,
    network_args: dict[str, Any],
    weights: Path | None,
    original: str | None,
    base: str | None,
    scale: int | None,
    split_at: str | None,
    coarse_tail: str | None,
    p: str | None,
    halo: str | None,
    size: tuple[int, int],
    share: list[float] | None,
    dtype: str | None,
    threads: int | None,
    repeats: int,
    clock: str,
    engines: bool,
    compiled: bool,
    memory: bool,
    device: str,
    csv: Path | None,
    json: Path | None,
    markdown: Path | None,
) -> None:
    """Time a saved network against its original, or any other against what is cut out of it."""
    arithmetic, place = check_dtype(dtype), pick_device(device)
    given = Given(network, args=network_args, weights=weights, original=original, base=base)
    net, before = _pair(given, scale, {"split_at": split_at, "coarse_tail": coarse_tail, "p": p, "halo": halo})
    with progress_bar() as progress:
        result = measure(
            net.to(place),
            before.to(place),
            size=size,
            shares=share or SHARES,
            dtype=arithmetic,
            threads=threads,
            repeats=repeats,
            clock=cast(Clock, clock),
            engines=engines,
            compiled=compiled,
            memory=memory,
            track=lambda rounds: progress.track(rounds, description="measuring"),
        )
    print(result)
    for path, text in ((csv, report.csv_text), (json, report.json_text), (markdown, report.markdown)):
        if path is not None:
            _write(path, text(result))


def _pair(given: Given, scale: int | None, cut: dict[str, str | None]) -> tuple[MGANet, nn.Module]:
    """The accelerated network, and the one before."""
    if given.original is not None:
        before = load_network(given.original, args=given.args, weights=given.weights, scale=scale)
        small = None if given.base is None else load_network(given.base)
        net: nn.Module = from_pretrained(str(given.network), model=before, base=small)
    else:
        net, small = given.load_two(scale=scale)
        before = net
    if not isinstance(net, MGANet):
        return accelerate_as(net, CutConfig.from_text(**cut), base=small), before
    check_uncut(given.network, cut)
    if given.original is None:  # of a backbone: untrained, which changes no second
        before = create_backbone(**(net.backbone or {}))
    return net, before


def _write(path: Path, text: str) -> None:
    with open_whole(path) as handle:
        handle.write(text.encode(errors="surrogateescape"))
