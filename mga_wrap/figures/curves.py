"""Curves: PSNR against what it costs, as a figure for a paper."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mga_wrap.errors import ArgumentError, MGAError
from mga_wrap.measure.rows import Row, means
from mga_wrap.pictures.files import open_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg", ".pdf")
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "mga-wrap",
}
_COLOURS = ("#22559c", "#c8503c", "#3a8f6a", "#8a5aa8", "#b8860b")
_MARKS = {"B": ("o", "#777777"), "D": ("D", "#222222"), "original": ("*", "#c08000")}


def check_plot(path: Path) -> None:
    """Say what is missing before anything is measured.

    Raises:
        ArgumentError: a suffix that is not drawn.
        MGAError: matplotlib is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"got the plot {path}; expected one of {', '.join(SUFFIXES)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise MGAError("a plot needs matplotlib, which is not installed; pip install 'mga-wrap[plots]'")


def plot_curves(rows: Sequence[Row], path: Path, *, title: str) -> None:
    """Draw mean PSNR-Y against mean MACs, and against mean seconds where they were measured.

    The k of one p are a curve, all patches its end; variants B, D and the original are marks of their own.

    Raises:
        ArgumentError: a suffix that is not drawn.
        MGAError: matplotlib is not installed, or the file cannot be written.
    """
    check_plot(path)
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    averages = means(rows)
    costs = {"macs": "GMACs an image", "seconds": "seconds an image"}
    shown = [name for name in costs if all(getattr(row, name) is not None for row in averages)]
    if not shown:
        raise ArgumentError("got rows without MACs and seconds; expected an accelerated network, or timed rows")
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(3.4 * len(shown) + 0.9, 3.0), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        for place, name in zip(axes, shown, strict=True):
            _draw(place, averages, cost=name)
            place.set_xlabel(costs[name])
        axes[0].set_ylabel("PSNR-Y (dB)")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
        figure.suptitle(title, fontsize=10)
        with open_whole(path) as handle:
            figure.savefig(handle, format=path.suffix[1:].lower(), dpi=200, metadata=_undated(path))


def _draw(axes: Axes, averages: Sequence[Row], *, cost: str) -> None:
    curves: dict[int | None, list[Row]] = {}
    for row in averages:
        if row.variant in ("M", "A", ""):
            curves.setdefault(row.p, []).append(row)
    # Curves of several p lie close together: the highest has its labels above, the others below.
    highest = max(curves.values(), key=lambda of_p: max(row.psnr_y for row in of_p)) if len(curves) > 1 else None
    for number, (p, of_p) in enumerate(curves.items()):
        of_p.sort(key=lambda row: row.psnr_y if row.macs is None else row.macs)  # along k, whatever the clock says
        points = [(_cost(row, cost), row.psnr_y) for row in of_p]
        colour, name = _COLOURS[number % len(_COLOURS)], "M" if p is None else f"M, p = {p}"
        axes.plot(*zip(*points, strict=True), "-o", color=colour, markersize=3.5, linewidth=1.3, label=name)
        where, side = ((-3, 3), "right") if of_p is highest else ((2, -8), "left")
        for row, point in zip(of_p, points, strict=True):
            text = str(row.k)
            axes.annotate(text, point, where, textcoords="offset points", ha=side, fontsize=6.5, color=colour)
    for row in averages:
        if row.variant in _MARKS:
            mark, ink = _MARKS[row.variant]
            axes.plot(_cost(row, cost), row.psnr_y, mark, color=ink, markersize=6, label=row.variant, linestyle="none")
    axes.locator_params(axis="x", nbins=6)
    axes.margins(0.12, 0.15)


def _cost(row: Row, name: str) -> float:
    value: float = getattr(row, name)
    return value / 1e9 if name == "macs" else value


def _undated(path: Path) -> dict[str, Any]:
    """The same rows give the same file."""
    return {} if path.suffix.lower() == ".png" else {"Date" if path.suffix.lower() == ".svg" else "CreationDate": None}
