"""The figures that the paper prints, read from CSV files and checked.

Source: the paper's supplement, Tables 2 (the rows of the dynamic convolution), 5, 6 and 7.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from mga_wrap.errors import ArgumentError, one_line
from mga_wrap.paper.facts import CUTS, PIXELS, SIZE_OF_TABLE_5, VARIANTS

TABLES = ("table02.csv", "table05.csv", "table06.csv", "table07.csv")


@dataclass(frozen=True)
class PrintedRow:
    """What one row of a table says of a network; figures are texts, as printed."""

    table: str
    """Its file's name without the suffix."""
    scale: int
    network: str
    variant: str
    """B, D, A or M; in Table 5 with its k: "M(200)", "M(All)"."""
    column: str
    """A test set, or the image of Table 5."""
    flops: str
    """In 10^9: "1.81"."""
    parameters: str = ""
    """"23K", "1.10M"; empty where the table has none."""
    activations: str = ""
    """In 10^6; empty where the table has none."""


def read_tables(folder: Path) -> list[PrintedRow]:
    """The rows of the tables in a folder that can be compared.

    Args:
        folder: holds the CSV files `TABLES`, or some of them.

    Raises:
        ArgumentError: the folder holds none of the tables, or one that cannot be read.
    """
    files = [folder / name for name in TABLES if (folder / name).is_file()]
    if not files:
        raise ArgumentError(f"got {folder}; expected a folder that holds some of {', '.join(TABLES)}")
    return [row for file in files for row in _read_table(file)]


def networks_of(rows: Iterable[PrintedRow]) -> list[tuple[str, int]]:
    """The (network, scale) pairs that the rows speak of, each to be counted once."""
    return list(dict.fromkeys((row.network, row.scale) for row in rows))


def printed_value(text: str) -> tuple[float, float]:
    """A printed figure and the unit of its last digit, without the K or M."""
    number = Decimal(text.rstrip("KM"))
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{text!r} is no number")
    return float(number), 10.0**exponent


def _read_table(file: Path) -> list[PrintedRow]:
    is_table_5 = file.stem == "table05"
    read = _row_of_table_5 if is_table_5 else _row
    try:
        with file.open(encoding="utf-8", newline="") as handle:
            # No list of layers gives the plain convolution's rows of Table 2.
            return [read(file.stem, cells) for cells in csv.DictReader(handle) if cells.get("sub") != "conv"]
    except (KeyError, ValueError, TypeError, AttributeError, InvalidOperation, OSError, csv.Error) as error:
        columns = "method, k" if is_table_5 else "scale, network, variant, params, dataset"
        what = f"{type(error).__name__}: {one_line(error)}"
        raise ArgumentError(
            f"{file} is no table of the paper ({what}); expected the columns {columns}, flops_g"
        ) from error


def _row(table: str, cells: dict[str, str]) -> PrintedRow:
    network, variant, scale, dataset = (cells[name] for name in ("network", "variant", "scale", "dataset"))
    if dataset not in PIXELS or scale not in ("2", "3", "4") or variant not in VARIANTS:
        raise ValueError(f"{network}-{variant} x{scale} on {dataset} is not known")
    if network not in CUTS:
        raise ValueError(f"network {network!r} is not known")
    for figure in ("params", "flops_g"):
        printed_value(cells[figure])
    return PrintedRow(table, int(scale), network, variant, dataset, cells["flops_g"], parameters=cells["params"])


def _row_of_table_5(table: str, cells: dict[str, str]) -> PrintedRow:
    """Of RFDN x2 on one image: the method "RFDN-B" without a k, or "RFDN-M(200)" with k 200."""
    network, _, variant = cells["method"].partition("-")
    if (network, variant) != ("RFDN", "B" if not cells["k"] else f"M({cells['k']})"):
        raise ValueError(f"method {cells['method']!r} with k {cells['k']!r} is not known")
    int(cells["k"].replace("All", "") or 0)
    printed_value(cells["flops_g"])
    image = "{} x {}".format(*SIZE_OF_TABLE_5)
    activations = cells.get("activations_m", "")
    return PrintedRow(table, 2, network, variant, image, cells["flops_g"], activations=activations)
