"""`mga-wrap mask-accuracy`: how well the predicted mask chooses the patches."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mga_wrap.cli.app import app
from mga_wrap.cli.measuring import Crop, Csv, Data, DataScale, Json, LowRes, Markdown, Outputs, finish, measured
from mga_wrap.cli.shared import Device, ModelName, find_network, told
from mga_wrap.errors import ArgumentError

if TYPE_CHECKING:
    from mga_wrap.pictures.pairs import Pair


@app.command(name="mask-accuracy")
def mask_accuracy(
    data: Data,
    scale: DataScale,
    model: ModelName = None,
    k: Annotated[
        list[int] | None, typer.Option(help="Patches that are chosen; several.", show_default="200, 400 ... 1400")
    ] = None,
    lr: LowRes = None,
    crop: Crop = None,
    paper: Annotated[Path | None, typer.Option(help="The paper's Table 1 (table01.csv), to be shown beside.")] = None,
    csv: Csv = None,
    json: Json = None,
    markdown: Markdown = None,
    device: Device = "auto",
) -> None:
    """Compare the predicted error mask with the true one: how many of the top k patches are the same (Table 1)."""
    with told():
        from mga_wrap.infer.networks import embedded
        from mga_wrap.measure.mask_rows import MaskRow, mask_means, mask_rows
        from mga_wrap.measure.mask_tables import mask_grid
        from mga_wrap.measure.partial import Partial, identity_of
        from mga_wrap.paper import table_1
        from mga_wrap.pictures.pairs import check_crop, find_pairs, read_pair

        ks = k or list(table_1.KS)
        if min(ks) < 1:
            raise ArgumentError(f"got k={min(ks)}; expected a number of patches, 1 or more")
        beside = None if paper is None else table_1.read_table_1(paper)
        net = find_network(model, scale, device)
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
