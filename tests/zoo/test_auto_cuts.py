"""The table of docs/scheme.md, against what "auto" takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("spandrel", reason="two of the networks are spandrel's: pip install -e .[dev]")
from auto_cuts import NETWORKS, row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scheme.md"


@pytest.mark.parametrize("name", NETWORKS)
def test_the_table_tells_what_auto_takes(name: str) -> None:
    assert row(name) in PAGE.read_text(encoding="utf-8").splitlines()


def test_the_table_lists_these_networks_and_nothing_else() -> None:
    table = PAGE.read_text(encoding="utf-8").split("blocks in the Base-Net | cost")[1].split("\n\n")[0]
    assert re.findall(r"^\| ([^|]+?) \| \d+%", table, re.MULTILINE) == list(NETWORKS)
