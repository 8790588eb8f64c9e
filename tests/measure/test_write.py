"""Files of what was measured: they hold what the tables say, whole or not at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from mga_wrap.errors import ImageError
from mga_wrap.measure.grid import Grid
from mga_wrap.measure.write import write_csv, write_json, write_markdown

GRID = Grid("a [b]", ["", "x|y"], [["one", "1.0"], ["mean", "2.0"]], last=1, notes=["So it is."])


def test_files_hold_what_the_tables_say(tmp_path: Path) -> None:
    records = [{"k": 0.25, "psnr": 30.1234567, "macs": 2.6e9, "p": None}, {"k": "all", "psnr": 1.0, "macs": 3, "p": 4}]
    write_csv(records, tmp_path / "a.csv")
    found = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert found[0] == {"k": "0.25", "psnr": "30.123457", "macs": "2600000000", "p": ""}
    assert found[1]["k"] == "all"
    write_json({"rows": [{"psnr": float("inf")}, (1, 2.5)]}, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == {"rows": [{"psnr": "inf"}, [1, 2.5]]}
    write_markdown([GRID, GRID], tmp_path / "a.md")
    assert (tmp_path / "a.md").read_text() == GRID.as_markdown() + "\n" + GRID.as_markdown()
    with pytest.raises(ImageError, match=r"cannot write .*: a folder of that name"):
        write_csv(records, tmp_path)
