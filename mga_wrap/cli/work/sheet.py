"""What `mga-wrap sheet` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import typer

from mga_wrap.cli.work.each import each_picture
from mga_wrap.cli.work.network import Given, find_accelerated
from mga_wrap.config import Amount
from mga_wrap.errors import ArgumentError
from mga_wrap.figures.page import figure_html, write_page
from mga_wrap.figures.sheet_figure import sheet_figure
from mga_wrap.infer.compiled import Engine
from mga_wrap.infer.networks import embedded
from mga_wrap.pictures.files import Picture, write_image
from mga_wrap.pictures.pairs import Pair, check_crop, find_pairs, read_pair

_NOTES = (
    "The frame marks the crop, where the predicted error is largest. Refined patches are in colour, the rest is pale. "
    "Errors are drawn from dark (low) to bright (high), each picture by itself; the true error is the change of luma "
    "when every patch is refined. PSNR and SSIM are of the whole picture, on Y."
)


def sheet(
    data: Path,
    scale: int,
    out: Path,
    model: str | None,
    network_args: dict[str, Any],
    weights: Path | None,
    original: str | None,
    base: str | None,
    k: Amount | None,
    lr: Path | None,
    crop: int | None,
    device: str,
    engine: str,
) -> None:
    """Draw every picture, onto a page or into a folder."""
    page = out.suffix.lower() in (".html", ".htm")
    if not page and out.suffix and not out.is_dir():
        raise ArgumentError(f"got {out}; expected a page (sheet.html), or a folder without a suffix")
    given = Given(model, args=network_args, weights=weights, original=original, base=base)
    net = find_accelerated(given, scale=scale, device=device)
    multiple = check_crop(crop, scale=scale, paired=lr is not None)
    pairs = find_pairs(data, lr=lr, scale=scale)
    if not page:
        _check_names([pair.hr for pair in pairs])
    figures: list[str] = []

    def draw(pair: Pair) -> None:
        low, high = read_pair(pair, scale=scale, crop=multiple)
        drawn = sheet_figure(net, low, high, name=pair.hr.stem, k=k, engine=cast(Engine, engine)).draw()
        if page:
            figures.append(figure_html(pair.hr.stem, drawn))
        else:
            _write(drawn, out / f"{pair.hr.stem}_sheet.png")

    failures = each_picture(pairs, draw, source=lambda pair: pair.hr, doing="drawing")
    if figures:
        title = f"{data.resolve().name} x{scale}, {Path(model or embedded(scale)).name}"
        write_page(figures, out, title=title, notes=_NOTES)
        print(out)
    if failures:
        raise typer.Exit(1)


def _check_names(files: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for file in files:
        other = seen.setdefault(file.stem, file)
        if other is not file:
            raise ArgumentError(
                f"{other.name} and {file.name} would both be written to {file.stem}_sheet.png; "
                "write a page: -o sheet.html"
            )


def _write(drawn: np.ndarray, path: Path) -> None:
    write_image(Picture(drawn.astype("float32") / 255), path=path)
    print(path)
