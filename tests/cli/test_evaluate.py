"""`mga-wrap eval`: what it prints and writes, what survives a kill, and the exit code."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from cli.calls import measure, picture, run, table
from PIL import Image
from toys.plain import build
from typer.testing import CliRunner

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.cli import app
from mga_wrap.counting import count_macs
from mga_wrap.measure import evaluation
from mga_wrap.measure.rows import Row

ROOT = Path(__file__).resolve().parents[2]

needs_matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is missing")


def test_eval_prints_a_table_and_writes_the_same_as_csv(saved: Path, tmp_path: Path) -> None:
    for name in ("a[b]", "b"):
        values = np.random.default_rng(1).integers(0, 256, (33, 41, 3)).astype(np.uint8)
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    words = ["--data", tmp_path, "--scale", 2, "--model", saved, "--csv", tmp_path / "new" / "rows.csv"]
    result = run("eval", *words, "--k", "base", "--k", "0.5", "--crop", "2")
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader((tmp_path / "new" / "rows.csv").read_text().splitlines()))
    assert [(row["picture"], row["k"]) for row in rows] == [
        (name, k) for name in ("a[b].png", "b.png", "mean") for k in ("0", "0.5")
    ]
    for row in rows:
        assert row["picture"] in result.stdout
        assert f"{float(row['psnr_y']):.3f} / {float(row['ssim_y']):.4f}" in result.stdout


def test_eval_uses_the_networks_own_k(saved: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    assert "k = 0.25" in run("eval", "--data", tmp_path, "--scale", 2, "--model", saved).stdout


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--scale", "3"], 2, "scale=3 and a model that enlarges by 2"),
        (["--scale", "2", "--crop", "3"], 2, "crop=3; expected a multiple of the scale 2"),
        (["--scale", "2", "--k", "-2"], 2, "k=-2"),
        (["--scale", "2"], 1, "both sides must be at least 8"),
    ],
)
def test_eval_tells_what_is_wrong(words: list[str], code: int, text: str, saved: Path, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    result = run("eval", "--data", tmp_path, "--model", saved, *words)
    assert (result.exit_code, text in result.stderr) == (code, True)


def test_eval_needs_pictures(saved: Path, tmp_path: Path) -> None:
    result = run("eval", "--data", tmp_path, "--scale", 2, "--model", saved)
    assert (result.exit_code, "is a folder without images" in result.stderr) == (1, True)


def test_all_variants_and_the_original_in_every_form(nets: dict[str, Path], data: Path, tmp_path: Path) -> None:
    out = {form: tmp_path / "out" / f"a.{form}" for form in ("csv", "json", "md")}
    words = ["--variants", "--rgb", "--csv", out["csv"], "--json", out["json"], "--markdown", out["md"]]
    result = measure("eval", data, nets["pretrained"], *words)
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a.csv", "a.json", "a.md"]
    means = {row["variant"]: row for row in table(out["csv"]) if row["picture"] == "mean"}
    assert list(means) == ["B", "M", "A", "D", "original"]
    assert means["D"]["psnr_y"] == means["original"]["psnr_y"]
    own = count_macs(create_backbone("fsrcnn", scale=2), torch.rand(1, 3, 20, 24))
    assert float(means["original"]["macs"]) == own < float(means["D"]["macs"])
    assert all(float(row["seconds"]) > 0 and row["psnr_rgb"] for row in means.values())
    document = json.loads(out["json"].read_text())
    assert (document["scale"], document["crop"], document["own_k"], len(document["rows"])) == (2, 8, 0.25, 15)
    assert [row["variant"] for row in document["means"]] == list(means)
    assert document["threads"] == torch.get_num_threads()
    text = out["md"].read_text()
    assert re.search(r"^\| original \| .* \| 1\.00 \| .* \| 1\.00 \|$", text, re.MULTILINE)
    assert "its cost here includes the coarse tail" in text
    assert "k = 0.25 (M)" in result.stdout


def test_a_network_in_the_papers_style_has_no_original(nets: dict[str, Path], data: Path) -> None:
    result = measure("eval", data, nets["paper"], "--k", "original")
    assert result.exit_code == 2
    assert "holds no original" in result.stderr


@needs_matplotlib
def test_a_sweep_over_p_keeps_the_refined_area(nets: dict[str, Path], data: Path, tmp_path: Path) -> None:
    words = ["--k", "0", "--k", "8", "--p", "2", "--p", "4", "--p", "8", "--csv", tmp_path / "a.csv"]
    result = measure("eval", data, nets["paper"], *words, "--plot", tmp_path / "a.svg")
    assert result.exit_code == 0, result.stderr
    means = [row for row in table(tmp_path / "a.csv") if row["picture"] == "mean"]
    assert [(row["k"], row["p"]) for row in means] == [("0", ""), ("32", "2"), ("8", "4"), ("2", "8")]
    assert len({row["share"] for row in means[1:3]}) == 1
    assert "M, p = 8" in (tmp_path / "a.svg").read_text()


def test_given_lr_pictures_are_used(nets: dict[str, Path], data: Path, tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "lr" / f"{number}x2.png", 20, 24)
    result = measure("eval", data, nets["paper"], "--lr", tmp_path / "lr", "--k", "0", "--json", tmp_path / "a.json")
    assert result.exit_code == 0, result.stderr
    assert json.loads((tmp_path / "a.json").read_text())["crop"] == 2
    assert measure("eval", data, nets["paper"], "--k", "0").stdout != result.stdout


def kill_after(pictures: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stop like a Ctrl-C after some pictures; returns the names of those that are measured."""
    measured: list[str] = []
    whole = evaluation.Evaluation.rows

    def rows(self: evaluation.Evaluation, lr: object, hr: object, *, name: str) -> list[Row]:
        if len(measured) == pictures:
            raise KeyboardInterrupt
        measured.append(name)
        return whole(self, lr, hr, name=name)

    monkeypatch.setattr(evaluation.Evaluation, "rows", rows)
    return measured


def test_it_goes_on_after_a_kill(
    nets: dict[str, Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("eval", data, nets["paper"], "--k", "0", "--csv", tmp_path / "a.csv")
    with monkeypatch.context() as patch:
        kill_after(2, patch)
        assert measure(*line).exit_code != 0
    assert not (tmp_path / "a.csv").exists()
    partial = tmp_path / "a.csv.partial.jsonl"
    assert len(partial.read_text().splitlines()) == 3
    with monkeypatch.context() as patch:
        assert (kill_after(9, patch), measure(*line).exit_code)[1] == 0
    resumed = table(tmp_path / "a.csv")
    assert not partial.exists()
    with monkeypatch.context() as patch:
        measured = kill_after(9, patch)
        assert measure(*line).exit_code == 0
        assert measured == ["0.png", "1.png", "2.png"]
    for one, other in zip(resumed, table(tmp_path / "a.csv"), strict=True):
        assert one | {"seconds": ""} == other | {"seconds": ""}


def test_what_was_measured_is_not_measured_again(
    nets: dict[str, Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ["eval", data, nets["paper"], "--k", "0", "--csv", tmp_path / "a.csv"]
    kill_after(2, monkeypatch)
    measure(*line)
    monkeypatch.undo()
    picture(data / "0.png", 48, 40)  # another picture of that name
    measured = kill_after(9, monkeypatch)
    assert measure(*line).exit_code == 0
    assert measured == ["0.png", "2.png"]
    monkeypatch.undo()
    kill_after(2, monkeypatch)
    measure(*line)
    monkeypatch.undo()
    measured = kill_after(9, monkeypatch)
    assert measure(*line[:-3], "all", *line[-2:]).exit_code == 0  # another question
    assert measured == ["0.png", "1.png", "2.png"]


def test_eval_without_a_model_needs_a_scale_that_there_is(data: Path) -> None:
    result = CliRunner().invoke(app, ["eval", "--data", str(data), "--scale", "5"])
    assert result.exit_code == 2
    assert "got scale=5; the networks in the package enlarge by 2, 3 or 4: give a model" in result.stderr


def test_a_network_that_is_not_ours_is_evaluated_in_python(data: Path) -> None:
    net = accelerate(build("LongSkip", 2), p=4).eval()
    rows = evaluation.evaluate(net, sorted(data.iterdir()), scale=2, ks=["dense"], original=True)
    assert [row.psnr_y for row in rows[:3]] == [row.psnr_y for row in rows[3:]]
