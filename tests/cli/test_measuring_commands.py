"""eval, mask-accuracy and sheet: what they write, what survives a kill, what is told, and the exit code."""

from __future__ import annotations

import base64
import csv
import importlib.util
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from toys.plain import build
from typer.testing import CliRunner

import mga_wrap as mga
from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.cli import app
from mga_wrap.counting import count_macs
from mga_wrap.measure import evaluation
from mga_wrap.measure.error_mask import agreement, true_mask
from mga_wrap.measure.rows import Row
from mga_wrap.pictures import resize_bicubic

needs_matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is missing")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Untrained networks by style; the one that goes on has a Refine-Net of 4 x 4 patches."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("nets")
    for style in ("paper", "pretrained"):
        accelerate(create_backbone("fsrcnn", scale=2), style=style, p=4).save_pretrained(folder / style)
    return {style: folder / style for style in ("paper", "pretrained")}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number, mode in enumerate(("RGB", "L", "RGBA")):
        picture(tmp_path / "hr" / f"{number}.png", 40, 48, mode=mode)
    return tmp_path / "hr"


def picture(path: Path, height: int, width: int, *, mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(path.name) + height)
    small = rng.integers(0, 256, (-(-height // 4), -(-width // 4), 4), dtype=np.uint8)
    Image.fromarray(small, "RGBA").resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(path)
    return path


def run(command: str, data: Path, model: Path, *words: object) -> Result:
    line = [command, "--data", data, "--scale", 2, "--model", model, "--device", "cpu", *words]
    result = CliRunner().invoke(app, [str(word) for word in line])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception  # a traceback is never an answer
    return result


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


# ---------------------------------------------------------------------------------------------------------------- eval
def test_all_variants_and_the_original_in_every_form(saved: dict[str, Path], data: Path, tmp_path: Path) -> None:
    out = {form: tmp_path / "out" / f"a.{form}" for form in ("csv", "json", "md")}
    words = ["--variants", "--rgb", "--csv", out["csv"], "--json", out["json"], "--markdown", out["md"]]
    result = run("eval", data, saved["pretrained"], *words)
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


def test_a_network_in_the_papers_style_has_no_original(saved: dict[str, Path], data: Path) -> None:
    result = run("eval", data, saved["paper"], "--k", "original")
    assert result.exit_code == 2
    assert "holds no original" in result.stderr


@needs_matplotlib
def test_a_sweep_over_p_keeps_the_refined_area(saved: dict[str, Path], data: Path, tmp_path: Path) -> None:
    words = ["--k", "0", "--k", "8", "--p", "2", "--p", "4", "--p", "8", "--csv", tmp_path / "a.csv"]
    result = run("eval", data, saved["paper"], *words, "--plot", tmp_path / "a.svg")
    assert result.exit_code == 0, result.stderr
    means = [row for row in table(tmp_path / "a.csv") if row["picture"] == "mean"]
    assert [(row["k"], row["p"]) for row in means] == [("0", ""), ("32", "2"), ("8", "4"), ("2", "8")]
    assert len({row["share"] for row in means[1:3]}) == 1
    assert "M, p = 8" in (tmp_path / "a.svg").read_text()


def test_given_lr_pictures_are_used(saved: dict[str, Path], data: Path, tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "lr" / f"{number}x2.png", 20, 24)
    result = run("eval", data, saved["paper"], "--lr", tmp_path / "lr", "--k", "0", "--json", tmp_path / "a.json")
    assert result.exit_code == 0, result.stderr
    assert json.loads((tmp_path / "a.json").read_text())["crop"] == 2
    assert run("eval", data, saved["paper"], "--k", "0").stdout != result.stdout


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
    saved: dict[str, Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ("eval", data, saved["paper"], "--k", "0", "--csv", tmp_path / "a.csv")
    with monkeypatch.context() as patch:
        kill_after(2, patch)
        assert run(*line).exit_code != 0
    assert not (tmp_path / "a.csv").exists()
    partial = tmp_path / "a.csv.partial.jsonl"
    assert len(partial.read_text().splitlines()) == 3
    with monkeypatch.context() as patch:
        assert (kill_after(9, patch), run(*line).exit_code)[1] == 0
    resumed = table(tmp_path / "a.csv")
    assert not partial.exists()
    with monkeypatch.context() as patch:
        measured = kill_after(9, patch)
        assert run(*line).exit_code == 0
        assert measured == ["0.png", "1.png", "2.png"]
    for one, other in zip(resumed, table(tmp_path / "a.csv"), strict=True):
        assert one | {"seconds": ""} == other | {"seconds": ""}


def test_what_was_measured_is_not_measured_again(
    saved: dict[str, Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = ["eval", data, saved["paper"], "--k", "0", "--csv", tmp_path / "a.csv"]
    kill_after(2, monkeypatch)
    run(*line)
    monkeypatch.undo()
    picture(data / "0.png", 48, 40)  # another picture of that name
    measured = kill_after(9, monkeypatch)
    assert run(*line).exit_code == 0
    assert measured == ["0.png", "2.png"]
    monkeypatch.undo()
    kill_after(2, monkeypatch)
    run(*line)
    monkeypatch.undo()
    measured = kill_after(9, monkeypatch)
    assert run(*line[:-3], "all", *line[-2:]).exit_code == 0  # another question
    assert measured == ["0.png", "1.png", "2.png"]


@pytest.mark.parametrize("command", ["eval", "mask-accuracy", "sheet"])
def test_a_picture_that_cannot_be_read_is_told_at_the_end(
    command: str, saved: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    (data / "1.png").write_bytes((data / "1.png").read_bytes()[:60])
    picture(data / "3.png", 6, 60)
    out = ("-o", tmp_path / "out") if command == "sheet" else ("--csv", tmp_path / "a.csv")
    result = run(command, data, saved["paper"], *out)
    assert result.exit_code == 1
    first, second, *rest = result.stderr.splitlines()
    assert first.startswith(f"error: cannot read {data / '1.png'}: ")
    assert second.startswith(f"error: cannot measure {data / '3.png'}: got an image of 60 x 6; both sides must be")
    if command == "sheet":
        assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["0_sheet.png", "2_sheet.png"]
    else:
        assert rest == ["2 of 4 pictures could not be measured; the means are over the others"]
        assert {row["picture"] for row in table(tmp_path / "a.csv")} == {"0.png", "2.png", "mean"}


@pytest.mark.parametrize("command", ["eval", "mask-accuracy", "sheet"])
def test_what_cannot_be_is_told_in_one_line(command: str, saved: dict[str, Path], data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    picture(tmp_path / "lr" / "0.png", 10, 12)
    more = ("-o", tmp_path / "out") if command == "sheet" else ()
    cases: list[tuple[tuple[object, ...], int, str]] = [
        (("--data", tmp_path / "empty"), 1, "is a folder without images"),
        (("--data", tmp_path / "none"), 1, "there is no such file"),
        (("--scale", 3), 2, "got scale=3 and a model that enlarges by 2"),
        (("--crop", 3), 2, "got crop=3; expected a multiple of the scale 2"),
        (("--lr", tmp_path / "lr"), 1, "have no LR picture in"),
        (("--lr", tmp_path / "lr", "--data", data / "0.png"), 1, "for x2 expected an LR picture of 24 x 20"),
        (("--model", tmp_path / "none"), 1, "is no folder"),
        (("--k", 0 if command == "mask-accuracy" else -1), 2, "got k="),
    ]
    for words, code, text in cases:
        result = run(command, data, saved["paper"], *more, *words)
        assert (result.exit_code, len(result.stderr.splitlines())) == (code, 1), result.stderr
        assert text in result.stderr
    assert not (tmp_path / "out").exists()


def test_eval_without_a_model_needs_a_scale_that_there_is(data: Path) -> None:
    result = CliRunner().invoke(app, ["eval", "--data", str(data), "--scale", "5"])
    assert result.exit_code == 2
    assert "got scale=5; the networks in the package enlarge by 2, 3 or 4: give a model" in result.stderr


# ------------------------------------------------------------------------------------------------------- mask-accuracy
def test_mask_accuracy_is_the_share_of_patches_in_both(saved: dict[str, Path], data: Path, tmp_path: Path) -> None:
    paper = tmp_path / "table01.csv"
    paper.write_text("k,number_in_both_top_k,accuracy_percent\n9,6,66.7\n400,302,75.5\n")
    out = [("--csv", tmp_path / "a.csv"), ("--json", tmp_path / "a.json"), ("--markdown", tmp_path / "a.md")]
    words = [word for pair in out for word in pair]
    result = run("mask-accuracy", data, saved["paper"], "--k", 3, "--k", 9, "--k", 400, "--paper", paper, *words)
    assert result.exit_code == 0, result.stderr
    found = table(tmp_path / "a.csv")
    assert [(row["picture"], row["asked"]) for row in found[:3]] == [("0.png", "3"), ("0.png", "9"), ("0.png", "400")]
    net = mga.from_pretrained(saved["paper"])
    hr = np.asarray(Image.open(data / "0.png").convert("RGB"))
    lr = torch.from_numpy(resize_bicubic(hr, 1 / 2)).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = agreement(net.trace(lr).score[0], true_mask(net, lr)[0], k=9)
    assert float(found[1]["accuracy"]) == pytest.approx(expected.accuracy, abs=1e-6)
    assert (found[2]["k"], found[2]["patches"], found[2]["accuracy"]) == ("30", "30", "1.000000")
    text = (tmp_path / "a.md").read_text()
    assert "| k | in both | accuracy | by chance | lowest | highest | paper |" in text
    assert re.search(r"\| 9 \| .* \| 30\.0% \| .* \| 66\.7% \|", text)
    assert "Pictures with no more patches than k count as 100%." in text
    assert len(json.loads((tmp_path / "a.json").read_text())["means"]) == 3


def test_mask_accuracy_needs_a_table_1_that_is_one(saved: dict[str, Path], data: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    result = run("mask-accuracy", data, saved["paper"], "--paper", tmp_path / "t.csv")
    assert result.exit_code == 2
    assert "is no Table 1 (KeyError: 'k'); expected the columns k, accuracy_percent" in result.stderr


# --------------------------------------------------------------------------------------------------------------- sheet
@pytest.mark.parametrize("style", ["paper", "pretrained"])
def test_a_page_holds_its_pictures(style: str, saved: dict[str, Path], data: Path, tmp_path: Path) -> None:
    result = run("sheet", data, saved[style], "-o", tmp_path / "new" / "a.html", "--k", "0.2")
    assert (result.exit_code, result.stderr) == (0, "")
    page = (tmp_path / "new" / "a.html").read_text()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == 3
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    with Image.open(io.BytesIO(base64.b64decode(pictures[0]))) as image:
        assert image.width == 1720


def test_a_sheet_goes_into_a_page_or_a_folder(saved: dict[str, Path], data: Path, tmp_path: Path) -> None:
    result = run("sheet", data / "0.png", saved["paper"], "-o", tmp_path / "a.png")
    assert result.exit_code == 2
    assert "a.png; expected a page (sheet.html), or a folder without a suffix" in result.stderr
    picture(data / "0.bmp", 40, 48)
    result = run("sheet", data, saved["paper"], "-o", tmp_path / "out")
    assert (result.exit_code, (tmp_path / "out").exists()) == (2, False)
    assert "0.bmp and 0.png would both be written to 0_sheet.png; write a page: -o sheet.html" in result.stderr
    assert run("sheet", data / "0.png", saved["paper"], "-o", tmp_path / "out").exit_code == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["0_sheet.png"]


def test_a_network_that_is_not_ours_is_evaluated_in_python(data: Path) -> None:
    net = accelerate(build("LongSkip", 2), p=4).eval()
    rows = evaluation.evaluate(net, sorted(data.iterdir()), scale=2, ks=["dense"], original=True)
    assert [row.psnr_y for row in rows[:3]] == [row.psnr_y for row in rows[3:]]
