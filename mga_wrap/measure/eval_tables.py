"""The tables that `mga-wrap eval` prints: a line a picture, and the means over the pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from mga_wrap.measure.evaluate import Row, means
from mga_wrap.measure.grid import Grid, number
from mga_wrap.measure.settings import ORIGINAL, label


def quality_grid(rows: Sequence[Row], *, title: str) -> Grid:
    """A line a picture, a column a k: PSNR-Y / SSIM-Y."""
    every = [*rows, *means(rows)]
    columns = list(dict.fromkeys(label(row.k, row.p) for row in every))
    pictures = list(dict.fromkeys(row.picture for row in every))
    cells = {(row.picture, label(row.k, row.p)): f"{row.psnr_y:.3f} / {row.ssim_y:.4f}" for row in every}
    lines = [[name, *(cells[name, column] for column in columns)] for name in pictures]
    return Grid(f"{title}: PSNR-Y (dB) / SSIM-Y", ["picture", *columns], lines, last=1)


def mean_grid(rows: Sequence[Row], *, title: str, notes: Sequence[str] = ()) -> Grid:
    """A line a k: every figure, averaged over the pictures. Columns that nothing fills are left out."""
    averages = means(rows)
    of_original = {row.k: (row.macs, row.seconds) for row in averages}.get(ORIGINAL, (None, None))
    columns: dict[str, Callable[[Row], str]] = {
        "PSNR-Y": lambda row: number(row.psnr_y, 3),
        "SSIM-Y": lambda row: number(row.ssim_y, 4),
        "PSNR RGB": lambda row: number(row.psnr_rgb, 3),
        "SSIM RGB": lambda row: number(row.ssim_rgb, 4),
        "refined": lambda row: "" if row.share is None else f"{row.share:.1%}",
        "GMACs": lambda row: number(None if row.macs is None else row.macs / 1e9, 3),
        "of the original": lambda row: _ratio(row.macs, of_original[0]),
        "seconds": lambda row: number(row.seconds, 4),
        "of its seconds": lambda row: _ratio(row.seconds, of_original[1]),
    }
    filled = [name for name, text in columns.items() if any(text(row) for row in averages)]
    lines = [[_named(row), *(columns[name](row) for name in filled)] for row in averages]
    pictures = len({row.picture for row in rows})
    return Grid(f"{title}: means over {pictures} pictures", ["", *filled], lines, notes=notes)


def _ratio(value: float | None, whole: float | None) -> str:
    return "" if value is None or not whole else f"{value / whole:.2f}"


def _named(row: Row) -> str:
    """The heading of a line: "k = 240 (M)"."""
    heading = label(row.k, row.p)
    return heading if row.variant in ("", heading) else f"{heading} ({row.variant})"


def record(row: Row) -> dict[str, Any]:
    """A row for CSV and JSON: its fields, and the variant."""
    values = asdict(row)
    first = {"picture": row.picture, "k": row.k, "p": row.p, "variant": row.variant}
    return first | {name: value for name, value in values.items() if name not in first}
