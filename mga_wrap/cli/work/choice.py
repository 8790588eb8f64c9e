"""What `mga-wrap choice` does."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from mga_wrap.cli.work.measuring import Outputs, finish, measured
from mga_wrap.cli.work.network import Given, find_accelerated, with_max_loss
from mga_wrap.config import Amount
from mga_wrap.infer.networks import embedded
from mga_wrap.measure.choice import ChoiceRow, check_pretrained, choice_grid, choice_means, choice_rows
from mga_wrap.measure.partial import Partial, identity_of
from mga_wrap.pictures.pairs import Pair, check_crop, find_pairs, read_pair


def choice(
    data: Path,
    scale: int,
    model: str | None,
    network_args: dict[str, Any],
    weights: Path | None,
    original: str | None,
    base: str | None,
    k: list[Amount],
    max_loss: float | None,
    lr: Path | None,
    crop: int | None,
    csv: Path | None,
    json: Path | None,
    markdown: Path | None,
    device: str,
) -> None:
    """Measure every picture, print the table and write the files."""
    given = Given(model, args=network_args, weights=weights, original=original, base=base)
    net = with_max_loss(find_accelerated(given, scale=scale, device=device), max_loss)
    check_pretrained(net)
    multiple = check_crop(crop, scale=scale, paired=lr is not None)
    pairs = find_pairs(data, lr=lr, scale=scale)
    outputs = Outputs(csv, json, markdown)
    asked: dict[str, Any] = {"ks": k, "max_loss": net.max_loss, "crop": multiple, "device": device, "scale": scale}
    kept = Partial(outputs.first, identity=identity_of(net, command="choice", **asked))

    def measure(pair: Pair) -> list[dict[str, Any]]:
        low, high = read_pair(pair, scale=scale, crop=multiple)
        return [asdict(row) for row in choice_rows(net, low, high, ks=k, name=pair.name)]

    records, failures = measured(pairs, measure, kept=kept)
    if records:
        rows = [ChoiceRow(**record) for record in records]
        name = model or embedded(scale)
        title = f"{data.resolve().name} x{scale}, {Path(name).name}: the choice of patches"
        written, averages = (
            [{**asdict(row), "regret": row.regret} for row in group] for group in (rows, choice_means(rows))
        )
        document = {"data": data.resolve().name, "model": name, **asked, "rows": written, "means": averages}
        outputs.write([*written, *averages], document=document, grids=[choice_grid(rows, title=title)])
    finish(failures, of=len(pairs), kept=kept)
