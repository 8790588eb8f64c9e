"""What `mga-wrap eval` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from mga_wrap.cli.work.measuring import Outputs, finish, measured
from mga_wrap.cli.work.network import Given, accelerated, find_network
from mga_wrap.config import Amount
from mga_wrap.figures.curves import check_plot, plot_curves
from mga_wrap.infer.compiled import Engine
from mga_wrap.infer.networks import embedded
from mga_wrap.measure.eval_tables import mean_grid, quality_grid
from mga_wrap.measure.evaluation import Evaluation
from mga_wrap.measure.partial import Partial, identity_of
from mga_wrap.measure.rows import Row, means, record
from mga_wrap.measure.settings import ORIGINAL, Setting, variant_settings, with_patch_sides
from mga_wrap.nets.mga import MGANet
from mga_wrap.pictures.pairs import Pair, check_crop, find_pairs, read_pair


def evaluate(
    data: Path,
    scale: int,
    model: str | None,
    network_args: dict[str, Any],
    weights: Path | None,
    original: str | None,
    base: str | None,
    k: Sequence[Amount],
    p: list[int] | None,
    variants: bool,
    lr: Path | None,
    crop: int | None,
    rgb: bool,
    repeats: int,
    csv: Path | None,
    json: Path | None,
    markdown: Path | None,
    plot: list[Path] | None,
    device: str,
    engine: str,
) -> None:
    """Measure every picture in every way, print the tables and write the files."""
    for path in plot or []:
        check_plot(path)
    given = Given(model, args=network_args, weights=weights, original=original, base=base)
    net = find_network(given, scale=scale, device=device)
    if k or p or variants:
        settings = _settings(accelerated(net, given), k, p or [], variants=variants)
    else:
        settings = [Setting(net.k if isinstance(net, MGANet) else None)]
    multiple = check_crop(crop, scale=scale, paired=lr is not None)
    evaluation = Evaluation(net, scale=scale, settings=settings, rgb=rgb, repeats=repeats, engine=cast(Engine, engine))
    pairs = find_pairs(data, lr=lr, scale=scale)
    outputs = Outputs(csv, json, markdown, plot or ())
    asked = {"crop": multiple, "rgb": rgb, "repeats": repeats, "device": device, "engine": engine, "scale": scale}
    kept = Partial(outputs.first, identity=identity_of(net, command="eval", settings=settings, **asked))

    def measure(pair: Pair) -> list[dict[str, Any]]:
        low, high = read_pair(pair, scale=scale, crop=multiple)
        return [asdict(row) for row in evaluation.rows(low, high, name=pair.name)]

    records, failures = measured(pairs, measure, kept=kept)
    if records:
        header = {"data": data.resolve().name, "model": model or embedded(scale), **asked}
        header |= {"own_k": net.k, "p": net.p} if isinstance(net, MGANet) else {}
        header |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
        _report([Row(**record) for record in records], outputs, net=net, header=header)
    finish(failures, of=len(pairs), kept=kept)


def _settings(net: MGANet, ks: Sequence[Amount], ps: list[int], *, variants: bool) -> list[Setting]:
    settings = [Setting(original=True) if k == ORIGINAL else Setting(k) for k in ks]
    settings += variant_settings(net) if variants else []
    return with_patch_sides(net, settings or [Setting(net.k)], ps=ps)


def _report(rows: list[Row], outputs: Outputs, *, net: nn.Module, header: dict[str, Any]) -> None:
    title = f"{header['data']} x{header['scale']}, {Path(header['model']).name}"
    averages = means(rows)
    continued = isinstance(net, MGANet) and net.config.style == "pretrained" and any(row.k == "dense" for row in rows)
    notes = ["D gives the original's image; its cost here includes the coarse tail."] if continued else []
    grids = [quality_grid(rows, title=title), mean_grid(rows, title=title, notes=notes)]
    flat = [record(row) for row in (*rows, *averages)]
    document = {**header, "rows": [record(row) for row in rows], "means": [record(row) for row in averages]}
    outputs.write(flat, document=document, grids=grids)
    for path in outputs.plots:
        plot_curves(rows, path, title=title)
