"""`mga-wrap bench`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from cli.calls import run

from mga_wrap.backbones.registry import create_backbone
from mga_wrap.nets.mga import MGANet

QUICK = ("--size", "40x24", "--repeats", "1", "--no-engines", "--no-memory", "--device", "cpu")


def test_a_backbone_is_cut_timed_and_written(tmp_path: Path) -> None:
    torch.save(create_backbone("fsrcnn", scale=3).state_dict(), tmp_path / "w.pth")
    cut = ("--split-at", "body.1", "--coarse-tail", "2", "--p", 8, "--halo", "1")
    files = [f"--{kind}={tmp_path / 'new' / f'a.{kind}'}" for kind in ("csv", "json", "markdown")]
    words = ("fsrcnn", "--scale", 3, "--weights", tmp_path / "w.pth", "--share", 0.3, "--share", 1)
    result = run("bench", *words, *cut, *QUICK, *files)
    assert result.exit_code == 0, result.stderr
    assert "share 0.3: " in result.stdout
    assert "FSRCNN, 40 x 24, cpu" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    rows = list(csv.DictReader((tmp_path / "new" / "a.csv").read_text().splitlines()))
    assert [row["share"] for row in rows] == ["", "", "0.0", "0.3", "1.0"]
    assert len(json.loads((tmp_path / "new" / "a.json").read_text())["rows"]) == 5
    assert "| accelerated, share 0.3 |" in (tmp_path / "new" / "a.markdown").read_text()


def test_a_saved_network_is_timed_against_its_backbone() -> None:
    result = run("bench", "fsrcnn-m-x2", "--share", 0.5, *QUICK)
    assert result.exit_code == 0, result.stderr
    assert "accelerated" in result.stdout


def test_options_reach_the_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[MGANet] = []

    def instead(net: MGANet, original: object, **_: object) -> None:
        seen.append(net)
        raise SystemExit

    monkeypatch.setattr("mga_wrap.cli.work.bench.measure", instead)
    for split, halo in (("2", "5"), ("0.5", "exact"), ("body.1", "5")):
        tail = "2" if split == "2" else "light"
        run(
            "bench",
            "fsrcnn",
            "--split-at",
            split,
            "--coarse-tail",
            tail,
            "--p",
            8,
            "--halo",
            halo,
            *QUICK,
        )
    assert [net.config.coarse_tail for net in seen] == [2, "light", "light"]
    assert [net.config.split_at for net in seen] == ["body.1"] * 3
    assert [(net.p, net.scale) for net in seen] == [(8, 4)] * 3
    assert [net.halo for net in seen] == [5, 3, 5]  # FSRCNN looks 3 pixels far behind body.1


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["fsrcnn-m-x4", "--split-at", "2", "--p", "4"], 2, "got --split-at, --p with fsrcnn-m-x4, which is cut alr"),
        (["nothing"], 2, "got 'nothing'; expected one of"),
        (["pam"], 2, "did you mean 'pan'?"),
        (["fsrcnn", "--scale", "5"], 2, "got scale=5"),
        (["fsrcnn", "--split-at", "body.9"], 1, "got split_at='body.9'; expected one of the blocks"),
        (["fsrcnn", "--split-at", "1.5"], 2, "got the share split_at=1.5"),
        (["fsrcnn", "--coarse-tail", "none"], 2, "got coarse_tail='none'"),
        (["fsrcnn", "--halo", "some"], 2, "got halo='some'; expected a whole number of pixels"),
        (["fsrcnn", "--p", "0"], 2, "got p=0"),
        (["fsrcnn", "--weights", "none.pth"], 1, "none.pth cannot be read: there is no such file"),
        (
            ["fsrcnn", "--size", "40"],
            2,
            "got --size 40; expected WIDTHxHEIGHT, 1 to 999999",
        ),
        (["fsrcnn", "--size", "0x4"], 2, "got --size 0x4; expected WIDTHxHEIGHT, 1 to 999999"),
        (["fsrcnn", "--share", "0"], 2, "expected one or more numbers in (0, 1]"),
        (["fsrcnn", "--share", "2"], 2, "expected one or more numbers in (0, 1]"),
        (["fsrcnn", "--dtype", "half"], 2, "got dtype='half'; expected one of float32"),
        (["fsrcnn", "--threads", "0"], 2, "got threads=0"),
        (["fsrcnn", "--threads", "100000"], 2, "got threads=100000; expected a whole number from 1 to"),
        (["fsrcnn", "--csv", "."], 2, "got the folder . for an output; expected the name of a file"),
        (["fsrcnn", "--repeats", "0"], 2, "got repeats=0"),
        (["fsrcnn", "--device", "gpu"], 2, "got device='gpu'"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(words: list[str], code: int, text: str) -> None:
    result = run("bench", *words)
    assert (result.exit_code, len(result.stderr.splitlines())) == (code, 1), result.stderr
    assert text in result.stderr
    assert result.stdout == ""
