"""What `mga-wrap tables` prints, and its exit code."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from mga_wrap.cli import app
from mga_wrap.paper.compare import PARAMETERS, ComparedFigure
from mga_wrap.paper.render import render


def figure(column: str, printed: str, counted: float, reason: str | None = None) -> ComparedFigure:
    return ComparedFigure("table07", 2, "FSRCNN", "B", column, printed, counted, reason)


def test_a_table_then_the_differences_then_a_sentence_a_kind() -> None:
    figures = [
        figure(PARAMETERS, "23K", 23.4),
        figure("Set5", "1.81", 1.812),
        figure("Set14", "3.67", 3.9, "a wrong digit"),
        figure("B100", "2.46", 2.9),
    ]
    legend, table, *sentences = render(figures)
    assert isinstance(legend, str)
    assert isinstance(table, Table)
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(table)
    shown = console.export_text()
    assert all(word in shown for word in ("Table 7, FLOPs in G", "FSRCNN-B x2", "1.81 ", "3.67 *", "2.46 *", "23K "))
    assert sentences == [
        "Table 7, FSRCNN-B x2, Set14: printed 3.67, ours 3.90: a wrong digit",
        "Table 7, FSRCNN-B x2, B100: printed 2.46, ours 2.90: UNEXPLAINED",
        "FLOPs: 1 of 3 agree to the last printed digit, 1 are known misprints",
        "parameter counts: 1 of 1 agree to the last printed digit, 0 are known misprints",
    ]


HEADER = "scale,network,variant,sub,params,dataset,psnr_db,ssim,flops_g,note"


def write(folder: Path, *rows: str) -> Path:
    folder.mkdir()
    (folder / "table07.csv").write_text("\n".join((HEADER, *rows)) + "\n", encoding="utf-8")
    return folder


def test_the_command_prints_what_agrees_and_what_does_not(tmp_path: Path) -> None:
    good = write(tmp_path / "good", "2,FSRCNN,B,,23K,Set5,36.59,0.9546,1.81,", "2,FSRCNN,M,,43K,Set5,1,1,2.09,")
    result = CliRunner().invoke(app, ["tables", str(good)])
    assert result.exit_code == 0, result.output
    assert "FSRCNN-M x2" in result.output
    assert "FLOPs: 2 of 2 agree to the last printed digit, 0 are known misprints" in result.output
    bad = write(tmp_path / "bad", "2,FSRCNN,B,,24K,Set5,36.59,0.9546,1.82,")
    result = CliRunner().invoke(app, ["tables", str(bad)])
    assert result.exit_code == 1
    assert "Table 7, FSRCNN-B x2, Set5: printed 1.82, ours 1.81: UNEXPLAINED" in result.output
    assert "printed 24K, ours 23K: UNEXPLAINED" in result.output
