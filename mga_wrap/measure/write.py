"""What was measured as files: tables as Markdown, records as CSV, everything as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mga_wrap.measure.grid import Grid
from mga_wrap.pictures.files import open_whole


def write_markdown(grids: Iterable[Grid], path: Path) -> None:
    """All tables into one file, which appears when it is complete.

    Raises:
        ImageError: it cannot be written.
    """
    _write("\n".join(grid.as_markdown() for grid in grids), path)


def write_csv(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A line for each record, columns as in the first; None is empty, numbers have six digits after the point.

    Raises:
        ImageError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(records[0].keys())
    writer.writerows([_plain(name, value) for name, value in record.items()] for record in records)
    _write(text.getvalue(), path)


def write_json(document: Mapping[str, Any], path: Path) -> None:
    """One JSON object; an infinite PSNR becomes the string "inf", which JSON has no number for.

    Raises:
        ImageError: it cannot be written.
    """
    _write(json.dumps(_finite(document), indent=2) + "\n", path)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, float) and name not in ("k", "macs", "macs_paper"):
        return f"{value:.6f}"
    return f"{value:.0f}" if isinstance(value, float) and name != "k" else value


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _write(text: str, path: Path) -> None:
    with open_whole(path) as handle:
        handle.write(text.encode(errors="surrogateescape"))
