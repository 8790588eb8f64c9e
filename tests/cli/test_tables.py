"""`mga-wrap tables`: what is told of folders that hold no tables. What it prints: tests/paper/test_render.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.calls import run

HEADER = "scale,network,variant,params,dataset,flops_g\n"


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("missing", 1, "missing: there is no such file; check the path"),
        ("empty", 2, "expected a folder that holds some of table02.csv, table05.csv"),
        ("odd/table07.csv", 2, "table07.csv; expected a folder that holds some of"),
        ("odd", 2, "table07.csv is no table of the paper (KeyError: 'network'); expected the columns scale, network"),
    ],
)
def test_what_holds_no_tables_is_told_in_one_line(name: str, code: int, text: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "table07.csv").write_text("a,b\n1,2\n")
    result = run("tables", tmp_path / name)
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (code, "", 1)
    assert text in result.stderr


@pytest.mark.parametrize(("printed", "code"), [("23K,Set5,1.81", 0), ("23K,Set5,9.99", 1)])
def test_a_difference_that_nobody_explains_is_a_failure(printed: str, code: int, tmp_path: Path) -> None:
    parameters, dataset, flops = printed.split(",")
    (tmp_path / "table07.csv").write_text(f"{HEADER}2,FSRCNN,B,{parameters},{dataset},{flops}\n")
    result = run("tables", tmp_path)
    assert (result.exit_code, result.stderr) == (code, ""), result.stdout
    assert ("UNEXPLAINED" in result.stdout) == (code == 1)
