"""The figures that the paper prints, read from CSV files, beside what its networks cost when they are counted.

Source: the paper's supplement, Tables 2 (the rows of the dynamic convolution), 5, 6 and 7.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path

from rich.table import Table

from mga_wrap.errors import ArgumentError
from mga_wrap.paper.costs import CUTS, PATCH, PIXELS, VARIANTS, PaperCost, activations_at, count_at, paper_cost

SIZE_OF_TABLE_5 = (376, 512)
"""Height and width of the lr image of Table 5 (RFDN x2)."""

OWN_SIZES: dict[tuple[str, str, int], tuple[tuple[int, int], ...]] = {
    ("RFDN", "Set14", 2): (
        (240, 248),
        (288, 360),
        (256, 256),
        (144, 176),
        (180, 124),
        (136, 136),
        (180, 248),
        (144, 176),
        (256, 256),
        (256, 256),
        (256, 384),
        (256, 256),
        (328, 264),
        (192, 292),
    )
}
"""Where the mean size leaves the last digit open: (height, width) of every image. RFDN's attention loses a border."""

ACTIVATIONS = "activations (M)"
"""The column of Table 5's activation counts."""

TABLES = ("table02.csv", "table05.csv", "table06.csv", "table07.csv")

Key = tuple[str, int, str, str, str]
"""Table, scale, network, variant, column."""

MISPRINTS: dict[Key, str] = {
    ("table07", 2, "RFDN", "A", "Manga109"): "a wrong digit: 266.16 for 226.16",
    ("table07", 4, "RFDN", "M", "Set5"): "the value at K = 120; the rest of the set has 240",
    ("table07", 4, "RCAN", "M", "Set5"): "the value at K = 150; the rest of the set has 240",
}
"""FLOPs that do not agree, and why."""
REPEATS: tuple[tuple[str, str, str, tuple[int, ...], int], ...] = (
    ("table02", "SRResNet", "M", (3,), 2),
    ("table06 table07", "RFDN", "M", (2, 3), 4),
    ("table07", "PAN", "DAM", (3,), 2),
    ("table07", "PAN", "BDAM", (4,), 2),
    ("table07", "RFDN", "BDA", (3, 4), 2),
    ("table07", "SRResNet", "BDAM", (3, 4), 2),
    ("table07", "RCAN", "BDAM", (3, 4), 2),
)
"""Parameters that are those of another scale: (tables, network, variants, scales, the scale that they belong to)."""


@dataclass(frozen=True)
class Line:
    """One printed figure beside ours."""

    table: str
    scale: int
    network: str
    variant: str
    column: str
    """A test set, "params", Table 5's image, or `ACTIVATIONS`."""
    printed: str
    """As in the table: "1.81" (10^9), "23K", "1.10M"."""
    counted: float
    """In the printed figure's unit."""
    reason: str | None
    """Why it cannot agree, where that is known."""

    @property
    def agrees(self) -> bool:
        """The printed figure is ours, rounded to its last digit (half a unit of it either way)."""
        value, unit = _value(self.printed)
        return abs(self.counted - value) <= unit / 2 * (1 + 1e-6)

    @property
    def shown(self) -> str:
        """What we count, in the form of the printed figure."""
        digits = self.printed.rstrip("KM").partition(".")[2]
        return f"{self.counted:.{len(digits)}f}{self.printed[len(self.printed.rstrip('KM')) :]}"


def needed(folder: Path) -> list[tuple[str, int]]:
    """The (network, scale) pairs that the tables in a folder speak of, each to be counted once."""
    return list(dict.fromkeys((row["network"], int(row["scale"])) for _, row in _rows(folder)))


def compare(folder: Path) -> list[Line]:
    """Compare every figure for MACs, activations and parameters of Tables 2 (D-conv), 5, 6 and 7 with ours.

    Args:
        folder: holds the CSV files `TABLES`, or some of them.

    Returns:
        A line for each figure, in the tables' order; parameters once a network, scale and variant.

    Raises:
        ArgumentError: the folder holds none of the tables, or one that cannot be read.
    """
    lines: dict[Key, Line] = {}
    for table, row in _rows(folder):
        network, scale, variant, column = row["network"], int(row["scale"]), row["variant"], row["dataset"]
        if row["params"]:
            count = paper_cost(network, scale).parameters[variant] / (1e6 if row["params"].endswith("M") else 1e3)
            key = (table, scale, network, variant, "params")
            repeated = repeated_scale(table, network, variant, scale)
            reason = f"the value of x{repeated}" if repeated else None
            lines.setdefault(key, Line(*key, printed=row["params"], counted=count, reason=reason))
        counted = _counted(table, network, scale, variant, column) / 1e9
        key = (table, scale, network, variant, column)
        lines[key] = Line(*key, printed=row["flops_g"], counted=counted, reason=MISPRINTS.get(key))
        if row.get("activations_m"):
            key = (table, scale, network, variant, ACTIVATIONS)
            counted = _activations_of_table_5(variant) / 1e6
            lines[key] = Line(*key, printed=row["activations_m"], counted=counted, reason=None)
    return list(lines.values())


def render(lines: list[Line]) -> list[Table | str]:
    """What `mga-wrap tables` prints: each table as the paper has it, what differs and why, and a summary."""
    shown: list[Table | str] = [
        "FLOPs as the paper counts them: multiply-accumulates of convolutions, and 1 for each value that an activation "
        "gives. As printed; * where what is counted here differs."
    ]
    for name in dict.fromkeys(line.table for line in lines):
        of_table = [line for line in lines if line.table == name]
        columns = list(dict.fromkeys(line.column for line in of_table))
        table = Table(title=f"Table {int(name[-2:])}, FLOPs in G", title_justify="left")
        table.add_column("network")
        for column in columns:
            table.add_column(column, justify="right")
        for row in dict.fromkeys((line.scale, line.network, line.variant) for line in of_table):
            cells = {x.column: x.printed + ("" if x.agrees else " *") for x in of_table if _row_of(x) == row}
            table.add_row(f"{row[1]}-{row[2]} x{row[0]}", *(cells.get(column, "") for column in columns))
        shown.append(table)
    for line in lines:
        if not line.agrees:
            where = f"Table {int(line.table[-2:])}, {line.network}-{line.variant} x{line.scale}, {line.column}"
            shown.append(f"{where}: printed {line.printed}, ours {line.shown}: {line.reason or 'UNEXPLAINED'}")
    for kind, of_kind in (
        ("FLOPs", [line for line in lines if line.column not in ("params", ACTIVATIONS)]),
        ("activation counts", [line for line in lines if line.column == ACTIVATIONS]),
        ("parameter counts", [line for line in lines if line.column == "params"]),
    ):
        if not of_kind:
            continue
        agree = sum(line.agrees for line in of_kind)
        known = sum(not line.agrees and line.reason is not None for line in of_kind)
        shown.append(f"{kind}: {agree} of {len(of_kind)} agree to the last printed digit, {known} are known misprints")
    return shown


def _row_of(line: Line) -> tuple[int, str, str]:
    return line.scale, line.network, line.variant


def repeated_scale(table: str, network: str, variant: str, scale: int) -> int | None:
    """The scale whose parameters a table prints in this scale's row by mistake; None where it prints the right ones."""
    for tables, of_network, variants, scales, true in REPEATS:
        if table in tables.split() and network == of_network and variant in variants and scale in scales:
            return true
    return None


def _counted(table: str, network: str, scale: int, variant: str, column: str) -> float:
    """Our MACs for one printed figure."""
    cost = paper_cost(network, scale)
    if table == "table05":
        return _at_table_5(cost, variant)
    macs = cost.macs(variant, dataset=column, scale=scale)
    if sizes := OWN_SIZES.get((network, column, scale)):
        # Every variant holds the Base-Net once.
        macs += _mean_base(network, scale, sizes) - cost.base.of_mean(PIXELS[column][scale])
    return macs


@cache
def _mean_base(network: str, scale: int, sizes: tuple[tuple[int, int], ...]) -> float:
    macs = {size: count_at(network, scale, *size, variant="B")["base"] for size in set(sizes)}
    return sum(macs[size] for size in sizes) / len(sizes)


def _at_table_5(cost: PaperCost, variant: str) -> float:
    height, width = SIZE_OF_TABLE_5
    base = _mean_base("RFDN", 2, (SIZE_OF_TABLE_5,))
    return _with_patches(variant, base=base, patch=cost.patch, mask=float(cost.mask) * height * width)


def _activations_of_table_5(variant: str) -> float:
    base, patch, mask = activations_at("RFDN", 2, *SIZE_OF_TABLE_5)
    return _with_patches(variant, base=base, patch=patch, mask=float(mask))


def _with_patches(variant: str, *, base: float, patch: int, mask: float) -> float:
    """Base-Net, mask prediction and patches of a row of Table 5, in whatever unit."""
    if variant == "B":
        return base
    if variant == "M(All)":  # no mask is predicted: this is variant A
        height, width = SIZE_OF_TABLE_5
        return base + patch * height * width / PATCH**2
    return base + mask + patch * int(variant.removeprefix("M(").removesuffix(")"))


def _rows(folder: Path) -> list[tuple[str, dict[str, str]]]:
    """(table, row) for each row that is compared; Table 5's rows made like the others'."""
    files = [folder / name for name in TABLES if (folder / name).is_file()]
    if not files:
        raise ArgumentError(f"got {folder}; expected a folder that holds some of {', '.join(TABLES)}")
    found: list[tuple[str, dict[str, str]]] = []
    for file in files:
        try:
            with file.open(encoding="utf-8", newline="") as handle:
                rows = [_row(file.stem, row) for row in csv.DictReader(handle) if row.get("sub") != "conv"]
        except (KeyError, ValueError, TypeError, AttributeError, InvalidOperation, OSError, csv.Error) as error:
            columns = "method, k" if file.stem == "table05" else "scale, network, variant, params, dataset"
            what = f"{type(error).__name__}: {error}"
            raise ArgumentError(
                f"{file} is no table of the paper ({what}); expected the columns {columns}, flops_g"
            ) from error
        found += [(file.stem, row) for row in rows]
    return found


def _row(table: str, row: dict[str, str]) -> dict[str, str]:
    """A row that can be compared, checked; Table 5's brought into the others' form."""
    if table == "table05":
        network, _, variant = row["method"].partition("-")
        if (network, variant) != ("RFDN", "B" if not row["k"] else f"M({row['k']})"):
            raise ValueError(f"method {row['method']!r} with k {row['k']!r} is not known")
        int(row["k"].replace("All", "") or 0)
        size = "{} x {}".format(*SIZE_OF_TABLE_5)
        row = row | {"scale": "2", "network": network, "variant": variant, "dataset": size, "params": ""}
    elif row["dataset"] not in PIXELS or row["scale"] not in ("2", "3", "4") or row["variant"] not in VARIANTS:
        raise ValueError(f"{row['network']}-{row['variant']} x{row['scale']} on {row['dataset']} is not known")
    else:
        _value(row["params"])
    if row["network"] not in CUTS:
        raise ValueError(f"network {row['network']!r} is not known")
    _value(row["flops_g"])
    return row


def _value(printed: str) -> tuple[float, float]:
    """A printed figure and the unit of its last digit, without the K or M."""
    number = Decimal(printed.rstrip("KM"))
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{printed!r} is no number")
    return float(number), 10.0**exponent
