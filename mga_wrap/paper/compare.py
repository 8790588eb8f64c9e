"""The figures that the paper prints beside what its networks cost when they are counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from mga_wrap.paper.counted import activations_at, count_at, paper_cost
from mga_wrap.paper.facts import PATCH, PIXELS, SIZE_OF_TABLE_5, SIZES_OF_IMAGES
from mga_wrap.paper.misprints import MISPRINTS, Key, repeated_scale
from mga_wrap.paper.printed import PrintedRow, printed_value

PARAMETERS = "params"
"""The column of parameter counts."""
ACTIVATIONS = "activations (M)"
"""The column of Table 5's activation counts."""


@dataclass(frozen=True)
class ComparedFigure:
    """One printed figure beside ours."""

    table: str
    scale: int
    network: str
    variant: str
    column: str
    """A test set or Table 5's image (both are FLOPs), `PARAMETERS`, or `ACTIVATIONS`."""
    printed: str
    """As in the table: "1.81" (10^9), "23K", "1.10M"."""
    counted: float
    """In the printed figure's unit."""
    reason: str | None
    """Why it cannot agree, where that is known."""

    @property
    def key(self) -> Key:
        """Where it stands."""
        return self.table, self.scale, self.network, self.variant, self.column

    @property
    def agrees(self) -> bool:
        """The printed figure is ours, rounded to its last digit (half a unit of it either way)."""
        value, unit = printed_value(self.printed)
        return abs(self.counted - value) <= unit / 2 * (1 + 1e-6)

    @property
    def ours(self) -> str:
        """What we count, in the form of the printed figure."""
        digits = self.printed.rstrip("KM").partition(".")[2]
        return f"{self.counted:.{len(digits)}f}{self.printed[len(self.printed.rstrip('KM')) :]}"


def compare(rows: Iterable[PrintedRow]) -> list[ComparedFigure]:
    """Compare every figure for MACs, activations and parameters of Tables 2 (D-conv), 5, 6 and 7 with ours.

    Args:
        rows: from `mga_wrap.paper.printed.read_tables`.

    Returns:
        The figures in the tables' order; parameters once a network, scale and variant.
    """
    figures: dict[Key, ComparedFigure] = {}
    for row in rows:
        of_row = [_flops(row)]
        if row.parameters:
            of_row.insert(0, _parameters(row))
        if row.activations:
            of_row.append(_activations(row))
        for figure in of_row:
            figures.setdefault(figure.key, figure)
    return list(figures.values())


def _parameters(row: PrintedRow) -> ComparedFigure:
    unit = 1e6 if row.parameters.endswith("M") else 1e3
    count = paper_cost(row.network, row.scale).parameters[row.variant] / unit
    repeated = repeated_scale(row.table, row.network, row.variant, row.scale)
    return _figure(row, PARAMETERS, row.parameters, count, reason=f"the value of x{repeated}" if repeated else None)


def _flops(row: PrintedRow) -> ComparedFigure:
    macs = _macs_of_table_5(row.variant) if row.table == "table05" else _macs_on_test_set(row)
    reason = MISPRINTS.get((row.table, row.scale, row.network, row.variant, row.column))
    return _figure(row, row.column, row.flops, macs / 1e9, reason=reason)


def _activations(row: PrintedRow) -> ComparedFigure:
    values = activations_at("RFDN", 2, *SIZE_OF_TABLE_5)
    count = _with_patches(row.variant, base=values.base, patch=values.patch, mask=float(values.mask))
    return _figure(row, ACTIVATIONS, row.activations, count / 1e6)


def _figure(row: PrintedRow, column: str, printed: str, counted: float, *, reason: str | None = None) -> ComparedFigure:
    return ComparedFigure(row.table, row.scale, row.network, row.variant, column, printed, counted, reason)


def _macs_on_test_set(row: PrintedRow) -> float:
    """Our mean MACs on the images of a test set."""
    cost = paper_cost(row.network, row.scale)
    macs = cost.macs(row.variant, dataset=row.column, scale=row.scale)
    if sizes := SIZES_OF_IMAGES.get((row.network, row.column, row.scale)):
        # Every variant holds the Base-Net once.
        mean_base = _mean_base_macs(row.network, row.scale, sizes)
        macs += mean_base - cost.base.of_mean(PIXELS[row.column][row.scale])
    return macs


def _macs_of_table_5(variant: str) -> float:
    height, width = SIZE_OF_TABLE_5
    cost = paper_cost("RFDN", 2)
    base = _mean_base_macs("RFDN", 2, (SIZE_OF_TABLE_5,))
    return _with_patches(variant, base=base, patch=cost.patch, mask=float(cost.mask) * height * width)


@cache
def _mean_base_macs(network: str, scale: int, sizes: tuple[tuple[int, int], ...]) -> float:
    macs = {size: count_at(network, scale, *size, variant="B")["base"] for size in set(sizes)}
    return sum(macs[size] for size in sizes) / len(sizes)


def _with_patches(variant: str, *, base: float, patch: int, mask: float) -> float:
    """Base-Net, mask prediction and patches of a row of Table 5, in whatever unit."""
    if variant == "B":
        return base
    if variant == "M(All)":  # no mask is predicted: this is variant A
        height, width = SIZE_OF_TABLE_5
        return base + patch * height * width / PATCH**2
    return base + mask + patch * int(variant.removeprefix("M(").removesuffix(")"))
