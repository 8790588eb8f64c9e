"""`mga-wrap choice`: what it writes and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

from cli.calls import measure, table


def test_a_row_for_each_picture_and_k(nets: dict[str, Path], data: Path, tmp_path: Path) -> None:
    words = ("--k", "0", "--k", "0.2", "--csv", tmp_path / "c.csv", "--json", tmp_path / "c.json")
    result = measure("choice", data, nets["pretrained"], *words)
    assert result.exit_code == 0, result.stderr
    assert "regret" in result.stdout
    rows = table(tmp_path / "c.csv")
    assert [(row["picture"], row["asked"]) for row in rows] == [
        *((f"{number}.png", k) for number in range(3) for k in ("0", "0.2")),
        ("mean", "0"),
        ("mean", "0.2"),
    ]
    for row in rows:
        assert abs(float(row["regret"]) - float(row["loss"]) + float(row["least"])) < 1e-5
    assert json.loads((tmp_path / "c.json").read_text())["ks"] == [0, 0.2]


def test_what_chooses_nothing_is_refused(nets: dict[str, Path], data: Path) -> None:
    result = measure("choice", data, nets["pretrained"], "--k", "dense")
    assert result.exit_code == 2
    assert "got --k dense or all, which choose nothing; expected 0, a number, a share or auto" in result.stderr
    result = measure("choice", data, nets["paper"])
    assert result.exit_code != 0
    assert "style 'paper'" in result.stderr
    result = measure("choice", data, nets["pretrained"], "--max-loss", "0")
    assert result.exit_code == 2
    assert "got max_loss=0" in result.stderr
    result = measure("choice", data, nets["pretrained"], "--k", "auto")
    assert result.exit_code != 0
    assert "whose score was not fitted" in result.stderr
