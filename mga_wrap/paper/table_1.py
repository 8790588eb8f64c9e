"""The paper's Table 1: how many of the patches that the predicted mask chooses are those of the true one."""

from __future__ import annotations

import csv
from pathlib import Path

from mga_wrap.errors import ArgumentError, one_line

KS = (200, 400, 600, 800, 1000, 1200, 1400)
"""Its columns."""


def read_table_1(path: Path) -> dict[int, float]:
    """The accuracy in percent at each k, from the paper's Table 1 as CSV.

    Raises:
        ArgumentError: it cannot be read, or lacks the columns k and accuracy_percent.
    """
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            return {int(row["k"]): float(row["accuracy_percent"]) for row in csv.DictReader(handle)}
    except (OSError, KeyError, ValueError, TypeError) as error:
        what = f"{type(error).__name__}: {one_line(error)}"
        raise ArgumentError(f"{path} is no Table 1 ({what}); expected the columns k, accuracy_percent") from error
