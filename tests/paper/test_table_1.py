"""Table 1 from its CSV."""

from __future__ import annotations

from pathlib import Path

import pytest

from mga_wrap.errors import ArgumentError
from mga_wrap.paper.table_1 import KS, read_table_1


def test_the_accuracy_by_k(shared: Path) -> None:
    table = read_table_1(shared / "paper" / "table01.csv")
    assert tuple(table) == KS
    assert all(0 < percent < 100 for percent in table.values())


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "k,accuracy_percent\nmany,2\n", "k,accuracy_percent\n3\n"])
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=r"t\.csv is no Table 1 \(.*\); expected the columns k, accuracy_percent"):
        read_table_1(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"is no Table 1 \(FileNotFoundError: "):
        read_table_1(tmp_path / "none.csv")
