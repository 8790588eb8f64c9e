"""What `mga-wrap bench` does."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import cast

from torch import nn

from mga_wrap.api import accelerate_as
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.backbones.weights import load_weights
from mga_wrap.bench import report
from mga_wrap.bench.benchmark import SHARES
from mga_wrap.bench.benchmark import bench as measure
from mga_wrap.bench.timing import Clock
from mga_wrap.cli.work.each import progress_bar
from mga_wrap.config import CoarseTail, CutConfig, Halo
from mga_wrap.errors import ArgumentError
from mga_wrap.hub import from_pretrained
from mga_wrap.infer.engine import check_dtype
from mga_wrap.infer.networks import pick_device
from mga_wrap.nets.mga import MGANet
from mga_wrap.pictures.files import open_whole


def bench(
    model: str | None,
    backbone: str | None,
    scale: int | None,
    split_at: str | int | float,
    coarse_tail: CoarseTail,
    p: int,
    halo: Halo | None,
    checkpoint: Path | None,
    size: tuple[int, int],
    share: list[float] | None,
    dtype: str | None,
    threads: int | None,
    repeats: int,
    clock: str,
    engines: bool,
    memory: bool,
    device: str,
    csv: Path | None,
    json: Path | None,
    markdown: Path | None,
) -> None:
    """Time a saved network against its backbone, or a backbone against what is cut out of it."""
    arithmetic, place = check_dtype(dtype), pick_device(device)
    if model is not None:
        net, original = _saved(model)
    else:
        config = CutConfig(split_at=split_at, coarse_tail=coarse_tail, p=p, halo=halo)
        net, original = _cut(str(backbone), 4 if scale is None else scale, checkpoint, config)
    with progress_bar() as progress:
        result = measure(
            net.to(place),
            original.to(place),
            size=size,
            shares=share or SHARES,
            dtype=arithmetic,
            threads=threads,
            repeats=repeats,
            clock=cast(Clock, clock),
            engines=engines,
            memory=memory,
            track=lambda rounds: progress.track(rounds, description="measuring"),
        )
    print(result)
    for path, text in ((csv, report.csv_text), (json, report.json_text), (markdown, report.markdown)):
        if path is not None:
            _write(path, text(result))


def _cut(name: str, scale: int, checkpoint: Path | None, config: CutConfig) -> tuple[MGANet, nn.Module]:
    original = create_backbone(name, scale=scale)
    if checkpoint is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch has to say of a file it says again in its error
            load_weights(original, checkpoint)
    return accelerate_as(original, config), original


def _saved(model: str) -> tuple[MGANet, nn.Module]:
    """A saved network, and the backbone that it was made of: untrained, which changes no second."""
    net = from_pretrained(model)
    if net.backbone is None:
        raise ArgumentError(f"got {model}, which was made of a network of your own; bench it from Python")
    return net, create_backbone(**net.backbone)


def _write(path: Path, text: str) -> None:
    with open_whole(path) as handle:
        handle.write(text.encode())
