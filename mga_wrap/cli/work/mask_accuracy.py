"""What `mga-wrap mask-accuracy` does."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from mga_wrap.cli.work.measuring import Outputs, finish, measured
from mga_wrap.cli.work.network import Given, find_accelerated
from mga_wrap.infer.networks import embedded
from mga_wrap.measure.mask_rows import MaskRow, mask_means, mask_rows
from mga_wrap.measure.mask_tables import mask_grid
from mga_wrap.measure.partial import Partial, identity_of
from mga_wrap.paper.table_1 import KS, read_table_1
from mga_wrap.pictures.pairs import Pair, check_crop, find_pairs, read_pair


def mask_accuracy(
    data: Path,
    scale: int,
    model: str | None,
    network_args: dict[str, Any],
    weights: Path | None,
    original: str | None,
    base: str | None,
    k: list[int] | None,
    lr: Path | None,
    crop: int | None,
    paper: Path | None,
    csv: Path | None,
    json: Path | None,
    markdown: Path | None,
    device: str,
) -> None:
    """Measure every picture, print the table and write the files."""
    ks = k or list(KS)
    beside = None if paper is None else read_table_1(paper)
    given = Given(model, args=network_args, weights=weights, original=original, base=base)
    net = find_accelerated(given, scale=scale, device=device)
    multiple = check_crop(crop, scale=scale, paired=lr is not None)
    pairs = find_pairs(data, lr=lr, scale=scale)
    outputs = Outputs(csv, json, markdown)
    asked: dict[str, Any] = {"ks": ks, "crop": multiple, "device": device, "scale": scale}
    kept = Partial(outputs.first, identity=identity_of(net, command="mask-accuracy", **asked))

    def measure(pair: Pair) -> list[dict[str, Any]]:
        low, _ = read_pair(pair, scale=scale, crop=multiple)
        return [asdict(row) for row in mask_rows(net, low, ks=ks, name=pair.name)]

    records, failures = measured(pairs, measure, kept=kept)
    if records:
        rows = [MaskRow(**record) for record in records]
        name = model or embedded(scale)
        title = f"{data.resolve().name} x{scale}, {Path(name).name}: accuracy of the error mask"
        averages = [asdict(row) for row in mask_means(rows)]
        document = {"data": data.resolve().name, "model": name, **asked, "rows": records, "means": averages}
        outputs.write([*records, *averages], document=document, grids=[mask_grid(rows, title=title, paper=beside)])
    finish(failures, of=len(pairs), kept=kept)
