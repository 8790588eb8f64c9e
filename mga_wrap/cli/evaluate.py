"""`mga-wrap eval`: a network on a folder of pictures, by the protocol of the field."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mga_wrap.cli.app import app
from mga_wrap.cli.measuring import (
    Crop,
    Csv,
    Data,
    DataScale,
    Json,
    LowRes,
    Markdown,
    Outputs,
    finish,
    measured,
)
from mga_wrap.cli.shared import K_HELP, Device, ModelName, find_network, told
from mga_wrap.config import parse_k

if TYPE_CHECKING:
    from mga_wrap.measure.rows import Row
    from mga_wrap.measure.settings import Setting
    from mga_wrap.nets.mga import MGANet
    from mga_wrap.pictures.pairs import Pair


@app.command(name="eval")
def evaluate_folder(
    data: Data,
    scale: DataScale,
    model: ModelName = None,
    k: Annotated[list[str] | None, typer.Option(help=K_HELP + " Also: original. May be given several times.")] = None,
    p: Annotated[
        list[int] | None,
        typer.Option(help="Patch side; several for a sweep. A number of patches is scaled: k * p² stays."),
    ] = None,
    variants: Annotated[
        bool, typer.Option("--variants", help="Also B, M, A, D, and the original where the network holds it.")
    ] = False,
    lr: LowRes = None,
    crop: Crop = None,
    rgb: Annotated[bool, typer.Option("--rgb", help="Also compare over all three channels.")] = False,
    repeats: Annotated[int, typer.Option(help="How often each picture is timed; the median counts.", min=1)] = 1,
    csv: Csv = None,
    json: Json = None,
    markdown: Markdown = None,
    plot: Annotated[
        list[Path] | None, typer.Option(help="Also draw PSNR against MACs and seconds: a .png, .svg or .pdf file.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Measure PSNR, SSIM, MACs and seconds: HR is reduced by exact bicubic interpolation and enlarged again."""
    with told():
        import torch

        from mga_wrap.figures.curves import check_plot
        from mga_wrap.infer.networks import embedded
        from mga_wrap.measure.evaluation import Evaluation
        from mga_wrap.measure.partial import Partial, identity_of
        from mga_wrap.measure.rows import Row
        from mga_wrap.pictures.pairs import check_crop, find_pairs, read_pair

        for path in plot or []:
            check_plot(path)
        net = find_network(model, scale, device)
        settings = _settings(net, k or [], p or [], variants=variants)
        multiple = check_crop(crop, scale=scale, paired=lr is not None)
        evaluation = Evaluation(net, scale=scale, settings=settings, rgb=rgb, repeats=repeats)
        pairs = find_pairs(data, lr=lr, scale=scale)
        outputs = Outputs(csv, json, markdown, plot or ())
        asked = {"crop": multiple, "rgb": rgb, "repeats": repeats, "device": device, "scale": scale}
        kept = Partial(outputs.first, identity=identity_of(net, command="eval", settings=settings, **asked))

        def measure(pair: Pair) -> list[dict[str, Any]]:
            low, high = read_pair(pair, scale=scale, crop=multiple)
            return [asdict(row) for row in evaluation.rows(low, high, name=pair.name)]

        records, failures = measured(pairs, measure, kept=kept)
        if records:
            header = {
                "data": data.resolve().name,
                "model": model or embedded(scale),
                **asked,
                "own_k": net.k,
                "p": net.p,
            }
            header |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
            _report([Row(**record) for record in records], outputs, net=net, header=header)
    finish(failures, of=len(pairs), kept=kept)


def _settings(net: MGANet, ks: list[str], ps: list[int], *, variants: bool) -> list[Setting]:
    from mga_wrap.measure.settings import Setting, variant_settings, with_patch_sides

    settings = [_setting(text) for text in ks] + (variant_settings(net) if variants else [])
    return with_patch_sides(net, settings or [Setting(net.k)], ps=ps)


def _setting(text: str) -> Setting:
    """A k, or "original", which is no k but is asked for beside them."""
    from mga_wrap.measure.settings import ORIGINAL, Setting

    return Setting(original=True) if text == ORIGINAL else Setting(parse_k(text))


def _report(rows: list[Row], outputs: Outputs, *, net: MGANet, header: dict[str, Any]) -> None:
    from mga_wrap.figures.curves import plot_curves
    from mga_wrap.measure.eval_tables import mean_grid, quality_grid
    from mga_wrap.measure.rows import means, record

    title = f"{header['data']} x{header['scale']}, {Path(header['model']).name}"
    averages = means(rows)
    continued = net.config.style == "pretrained" and any(row.k == "dense" for row in rows)
    notes = ["D gives the original's image; its cost here includes the coarse tail."] if continued else []
    grids = [quality_grid(rows, title=title), mean_grid(rows, title=title, notes=notes)]
    flat = [record(row) for row in (*rows, *averages)]
    document = {**header, "rows": [record(row) for row in rows], "means": [record(row) for row in averages]}
    outputs.write(flat, document=document, grids=grids)
    for path in outputs.plots:
        plot_curves(rows, path, title=title)
