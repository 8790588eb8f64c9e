"""`mga-wrap train`: it trains and goes on, and what is wrong is one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from toys.trainings import equal, rows, smooth
from typer.testing import CliRunner

import mga_wrap as mga
from mga_wrap.cli import app
from mga_wrap.train.build import build_trainer
from mga_wrap.train.stages import STAGE_SETS
from mga_wrap.train.yaml_config import read_config

LEAST = "network: {backbone: fsrcnn, scale: 2}\ndata: {hr: images}\noutput_dir: out\n"


def run(path: Path, *words: object) -> object:
    return CliRunner().invoke(app, ["train", str(path), *map(str, words)])


def test_the_command_trains_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    smooth(tmp_path / "images", side=112)
    text = LEAST + "accelerate: {style: paper}\nvalidation: {hr: images, images: 1}\nstages: fsrcnn\ndevice: cpu\n"
    (tmp_path / "a.yaml").write_text(text)
    change = [f"--set=stages.change.{stage.name}.steps=2" for stage in STAGE_SETS["fsrcnn"]]
    change += ["--set=stages.set=fsrcnn", "--set=stages.change.restore.batch=2"]
    (tmp_path / "a.yaml").write_text(text.replace("stages: fsrcnn\n", ""))
    first = run("a.yaml", *change, "--set=stages.only=[restore]")
    assert first.exit_code == 0, first.output
    assert "out/last" in first.stdout
    result = run("a.yaml", *change)
    assert result.exit_code == 0, result.output
    assert [row["stage"] for row in rows(tmp_path / "out")] == [stage.name for stage in STAGE_SETS["fsrcnn"]]
    net = mga.from_pretrained(tmp_path / "out/last")
    assert (net.scale, net.p, net.config.style) == (2, 4, "paper")
    assert not equal(net, build_trainer(read_config("a.yaml")).net)


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(LEAST + "sed: 3\n")
    result = run("a.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: a.yaml: the file: got the key 'sed'; expected one of network")
    assert result.stderr.count("\n") == 1
    (tmp_path / "a.yaml").write_text(LEAST)
    result = run("a.yaml")
    assert result.exit_code == 1
    assert result.stderr == "error: images is no folder; expected one with images\n"


WRONG = [
    ("seed=-1", r"a.yaml: got seed=-1; expected a whole number from 0 to 2\*\*63 - 1"),
    (f"seed={2**70}", r"a.yaml: got seed=\d+; expected a whole number from 0 to 2\*\*63 - 1"),
    ("validation.k=[]", r"a.yaml: got k=\(\); expected a list of amounts, or None for 0 and the network's own"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_change_that_makes_no_sense_is_one_line(
    change: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    smooth(tmp_path / "images", side=112)
    (tmp_path / "a.yaml").write_text(LEAST + "validation: {hr: images}\n")
    result = run("a.yaml", f"--set={change}")
    assert result.exit_code == 2
    assert re.fullmatch(rf"error: {message}\n", result.stderr), result.stderr
