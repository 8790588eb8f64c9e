"""`mga-wrap inspect`: what it shows of backbones and of saved networks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli.calls import run

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone

ROOT = Path(__file__).resolve().parents[2]


def test_inspect_shows_the_blocks_of_a_backbone() -> None:
    result = run("inspect", "fsrcnn", "--scale", "2")
    assert result.exit_code == 0
    assert "body.3" in result.stdout


def test_inspect_shows_the_parts_of_a_saved_network(saved: Path) -> None:
    result = run("inspect", saved)
    assert result.exit_code == 0
    for number in ("23,363", "1,576", "18,331", "43,270"):  # the paper's FSRCNN-M, part by part
        assert number in result.stdout
    assert "x2, p=4, halo=1, k=0.25" in result.stdout


def test_inspect_counts_for_any_size_and_beside_the_original(saved: Path, tmp_path: Path) -> None:
    accelerate(create_backbone("fsrcnn", scale=2)).save_pretrained(tmp_path / "mine")
    result = run("inspect", tmp_path / "mine", "--size", "64x32")
    assert result.exit_code == 0
    assert "an image of 64 x 32: 2 of 8 patches refined" in result.stdout
    assert re.search(r"original +│ +24,683 │ +49.8 ", result.stdout)
    assert "original" not in run("inspect", saved).stdout
    for size in ("64", "0x9", "axb"):
        result = run("inspect", saved, "--size", size)
        assert (result.exit_code, f"got --size {size}; expected WIDTHxHEIGHT" in result.stderr) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pan", "rfdn", "fsrcnn-m-x4"])
def test_inspect_fits_80_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = run("inspect", name, "--size", "1920x1080")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "…" not in result.stdout


def test_inspect_lists_what_there_is_for_an_unknown_name() -> None:
    result = run("inspect", "srcnn")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: got 'srcnn'; expected one of fsrcnn, pan, rcan, rfdn, srresnet, ")
    assert "or a folder, a file or code: a backbone's name, a pretrained network's name, the folder" in result.stderr
