"""`mga-wrap eval`: a network on a folder of pictures, by the protocol of the field."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mga_wrap.cli.app import app
from mga_wrap.cli.shared import K_HELP, Device, ModelName, find_network, parse_amount, progress_bar, told

if TYPE_CHECKING:
    from mga_wrap.measure.evaluate import Row


@app.command(name="eval")
def evaluate_folder(
    data: Annotated[Path, typer.Option(help="Folder of HR pictures.")],
    scale: Annotated[int, typer.Option(help="How many times a side is reduced and enlarged again.")],
    model: ModelName = None,
    k: Annotated[list[str] | None, typer.Option(help=K_HELP + " May be given several times.")] = None,
    crop: Annotated[
        int | None,
        typer.Option(help="Crop HR to multiples of this.", show_default="4 * scale"),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Also write the rows to this file.")] = None,
    device: Device = "auto",
) -> None:
    """Measure PSNR-Y and SSIM-Y: HR is reduced by exact bicubic interpolation and enlarged again."""
    with told():
        from mga_wrap.infer.images import list_images
        from mga_wrap.measure.evaluate import evaluate, means

        amounts = [parse_amount(text) for text in k or []]
        net = find_network(model, scale, device)
        files = list_images(data)
        rows: list[Row] = []
        with progress_bar() as progress:
            for file in progress.track(files, description="measuring"):
                rows += evaluate(net, [file], scale=scale, ks=amounts or [net.k], crop=crop)
        rows += means(rows)
        _print_rows(rows, title=f"{data.name} x{scale}: PSNR-Y (dB) / SSIM-Y")
        if csv is not None:
            _write_csv(rows, csv)


def _print_rows(rows: Sequence[Row], *, title: str) -> None:
    """A line a picture, a column a k."""
    columns = list(dict.fromkeys(str(row.k) for row in rows))
    table = Table(title=escape(title))
    table.add_column("picture")
    for column in columns:
        table.add_column(f"k = {column}", justify="right")
    pictures = list(dict.fromkeys(row.picture for row in rows))
    for picture in pictures:
        cells = {str(row.k): f"{row.psnr_y:.3f} / {row.ssim_y:.4f}" for row in rows if row.picture == picture}
        if picture == pictures[-1]:
            table.add_section()
        table.add_row(escape(picture), *(cells[column] for column in columns))
    Console().print(table)


def _write_csv(rows: Sequence[Row], path: Path) -> None:
    import csv
    import io

    from mga_wrap.infer.images import open_whole

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", "k", "psnr_y", "ssim_y"])
    writer.writerows([row.picture, row.k, f"{row.psnr_y:.4f}", f"{row.ssim_y:.6f}"] for row in rows)
    with open_whole(path) as handle:
        handle.write(text.getvalue().encode())
