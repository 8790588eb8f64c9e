"""The tables that `mga-wrap eval` prints: a line a picture, and the means over the pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mga_wrap.measure.grid import Grid, number
from mga_wrap.measure.rows import Row, means


def quality_grid(rows: Sequence[Row], *, title: str) -> Grid:
    """A line a picture, a column a k: PSNR-Y / SSIM-Y."""
    every = [*rows, *means(rows)]
    columns = list(dict.fromkeys(row.setting.label for row in every))
    pictures = list(dict.fromkeys(row.picture for row in every))
    cells = {(row.picture, row.setting.label): f"{row.psnr_y:.3f} / {row.ssim_y:.4f}" for row in every}
    lines = [[name, *(cells[name, column] for column in columns)] for name in pictures]
    return Grid(f"{title}: PSNR-Y (dB) / SSIM-Y", ["picture", *columns], lines, last=1)


def mean_grid(rows: Sequence[Row], *, title: str, notes: Sequence[str] = ()) -> Grid:
    """A line a k: every figure, averaged over the pictures. Columns that nothing fills are left out."""
    averages = means(rows)
    originals = [row for row in averages if row.original]
    macs, seconds = (originals[0].macs, originals[0].seconds) if originals else (None, None)
    columns: dict[str, Callable[[Row], str]] = {
        "PSNR-Y": lambda row: number(row.psnr_y, 3),
        "SSIM-Y": lambda row: number(row.ssim_y, 4),
        "PSNR RGB": lambda row: number(row.psnr_rgb, 3),
        "SSIM RGB": lambda row: number(row.ssim_rgb, 4),
        "refined": lambda row: "" if row.share is None else f"{row.share:.1%}",
        "GMACs": lambda row: number(None if row.macs is None else row.macs / 1e9, 3),
        "of the original": lambda row: _ratio(row.macs, macs),
        "seconds": lambda row: number(row.seconds, 4),
        "of its seconds": lambda row: _ratio(row.seconds, seconds),
    }
    filled = [name for name, text in columns.items() if any(text(row) for row in averages)]
    lines = [[_heading(row), *(columns[name](row) for name in filled)] for row in averages]
    pictures = len({row.picture for row in rows})
    return Grid(f"{title}: means over {pictures} pictures", ["", *filled], lines, notes=notes)


def _ratio(value: float | None, of_original: float | None) -> str:
    return "" if value is None or not of_original else f"{value / of_original:.2f}"


def _heading(row: Row) -> str:
    """The heading of a line: "k = 240 (M)"."""
    heading = row.setting.label
    return heading if row.variant in ("", heading) else f"{heading} ({row.variant})"
