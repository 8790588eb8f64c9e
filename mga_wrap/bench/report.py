"""What `bench` measured as text for files: Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict

from mga_wrap.bench.result import Bench
from mga_wrap.bench.timing import PARTS

_CSV_FIELDS = (
    "name",
    "format",
    "share",
    "over_as_it_runs",
    "over_best_format",
    "seconds",
    "spread",
    "macs",
    "of_product",
    "memory",
)


def markdown(result: Bench) -> str:
    """The tables and the sentences as Markdown."""
    tables = "\n".join(table.as_markdown() for table in result.tables())
    sentences = "\n".join(f"* {line}" for line in result.verdict())
    return f"{tables}\n{sentences}\n"


def csv_text(result: Bench) -> str:
    """A line a row, every figure in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_CSV_FIELDS, *(f"{part}_seconds" for part in PARTS)])
    for row in result.rows:
        writer.writerow([*(getattr(row, field) for field in _CSV_FIELDS), *(row.parts.get(part, "") for part in PARTS)])
    return text.getvalue()


def json_text(result: Bench) -> str:
    """The fields of `Bench` by name."""
    return json.dumps(asdict(result), indent=2) + "\n"
