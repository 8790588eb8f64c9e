"""hub/: every network in the package lies ready for the Hub, and its card says what its tables say."""

from __future__ import annotations

import csv
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hub_server import Hub
from huggingface_hub import ModelCard

import mga_wrap as mga

ROOT = Path(__file__).resolve().parents[1]
HUB = ROOT / "hub"


def _publish() -> ModuleType:
    spec = importlib.util.spec_from_file_location("publish", HUB / "publish.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["publish"] = module
    spec.loader.exec_module(module)
    return module


publish = _publish()
every_network = pytest.mark.parametrize("name", publish.every_name())


def rows_of(name: str, table: str) -> list[dict[str, str]]:
    with (HUB / name / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_each_has_a_folder_and_nothing_else_has() -> None:
    assert {path.name for path in HUB.iterdir() if (path / "README.md").is_file()} == set(publish.every_name())
    assert not [*HUB.rglob("*.safetensors"), *HUB.rglob("*.pth")]  # weights lie in the package alone
    assert sum(file.stat().st_size for file in HUB.rglob("*") if file.is_file()) < publish.LARGEST


@every_network
def test_every_figure_of_the_card_is_a_tables(name: str) -> None:
    text = (HUB / name / "README.md").read_text(encoding="utf-8")
    quality = text.split("## Measured")[1].split("### Speed")[0]
    header, _, *lines = [cells(line) for line in quality.splitlines() if line.startswith("|")]
    sets = header[1:-1]
    assert sets == [*publish.SETS, publish.OWN]
    means = {one: {row["k"]: row for row in rows_of(name, one) if row["picture"] == "mean"} for one in sets}
    if publish.is_plain(name):
        assert [line[0] for line in lines] == ["as it is"]
        lines[0][0] = ""
    assert [line[0] for line in lines] == list(means["Set5"])
    for k, *figures, macs in lines:
        for one, figure in zip(sets, figures, strict=True):
            row = means[one][k]
            assert figure == f"{float(row['psnr_y']):.2f} / {float(row['ssim_y']):.4f}"
        assert macs == f"{float(means['Set5'][k]['macs']) / 1e9:.2f} G"
    speed = text.split("### Speed")[1].split("\n## ")[0]
    lines = [cells(line) for line in speed.splitlines() if line.startswith("|")][2:]
    timed = [row for row in rows_of(name, "bench") if not (publish.is_plain(name) and row["share"])]
    for line, row in zip(lines, timed, strict=True):
        ratios = [f"{1 / float(row[ratio]):.2f}x" for ratio in ("over_as_it_runs", "over_best_format")]
        assert line == [row["name"], row["format"], row["share"], f"{float(row['seconds']):.3f}", *ratios]


@every_network
def test_the_results_in_the_metadata_are_at_the_networks_own_k(name: str) -> None:
    card = ModelCard.load(HUB / name / "README.md")
    own = "" if publish.is_plain(name) else str(mga.from_pretrained(name).k)
    for result in card.data.eval_results or ():
        (row,) = [
            row for row in rows_of(name, result.dataset_name.split()[0]) if (row["picture"], row["k"]) == ("mean", own)
        ]
        assert result.metric_value == pytest.approx(float(row[f"{result.metric_type}_y"]), abs=0.0051)
        assert result.metric_name == f"{result.metric_type.upper()}-Y" + (f" (k={own})" if own else "")
    assert len(card.data.eval_results or ()) == 6


@every_network
def test_the_card_is_what_its_tables_make(name: str) -> None:
    assert (HUB / name / "README.md").read_text(encoding="utf-8") == str(publish.card(name))


@pytest.mark.slow
@every_network
def test_each_loads_validates_and_measures_as_its_card_says(name: str) -> None:
    assert re.fullmatch(rf"{name}: loads, card valid, .* on chelsea as its card says", publish.check(name))


@pytest.mark.slow
def test_they_go_to_the_hub_under_an_owners_name(hub_writer: Hub) -> None:
    publish.main(["--only", "fsrcnn-m-x2", "--only", "pan-m-x4", "push", "somebody"])
    for name in ("fsrcnn-m-x2", "pan-m-x4"):
        repo = f"somebody/{name}"
        files = hub_writer.files(repo)
        assert set(files) == {
            ".gitattributes", "LICENSE", "PHOTOGRAPHS.csv", "README.md", "before-after.png", "config.json", "front.png",
            "model.safetensors",
        }  # fmt: skip
        assert f'from_pretrained("{repo}")' in files["README.md"].decode()
        assert mga.from_pretrained(repo).scale == mga.from_pretrained(name).scale


def test_a_card_that_is_not_its_tables_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for file in HUB.rglob("*"):
        if file.is_file() and file.suffix in (".csv", ".md", ".txt", ".yaml"):
            copy = tmp_path / file.relative_to(HUB)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(file.read_bytes())
    monkeypatch.setattr(publish, "HERE", tmp_path)
    card = tmp_path / "pan-m-x4" / "README.md"
    card.write_text(card.read_text(encoding="utf-8").replace(" dB / SSIM-Y", " dB / SSIM"), encoding="utf-8")
    with pytest.raises(mga.CheckpointError, match="is not what its tables say; make it again"):
        publish.check("pan-m-x4")
