"""The weights in the package: there, loadable, and as good as README and docs say."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

import mga_wrap as mga
from mga_wrap.measure.evaluate import evaluate, means

ROOT = Path(__file__).resolve().parents[1]


def test_every_scale_has_its_weights() -> None:
    assert mga.list_pretrained() == ("fsrcnn-m-x2", "fsrcnn-m-x3", "fsrcnn-m-x4")
    for name in mga.list_pretrained():
        net = mga.from_pretrained(name)
        assert name.endswith(f"-x{net.scale}")
        assert (net.p, net.halo, net.recipe["style"], net.training) == (4, 1, "paper", False)
        assert sum(parameter.numel() for parameter in net.parameters()) == 43_270


VARIANTS = {"B": 0, "D": "dense", "A": "all", "M": 240}


def table(page: str, name: str) -> dict[tuple[str, ...], list[str]]:
    """The rows of a table in the docs, cells by the first two."""
    text = (ROOT / page).read_text(encoding="utf-8")
    rows = re.search(rf"<!-- table:{name} -->(.*?)<!-- /table -->", text, re.DOTALL)[1].strip().splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {tuple(row[:2]): row[2:] for row in cells}


def pair(cell: str) -> tuple[float, float]:
    """PSNR in dB and SSIM."""
    psnr, ssim = cell.split("/")
    return float(psnr), float(ssim)


@pytest.mark.parametrize("data", ["Set5", "Set14"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_fsrcnn_is_what_the_table_says(scale: int, data: str, shared: Path) -> None:
    net = mga.from_pretrained(f"fsrcnn-m-x{scale}")
    files = sorted((shared / "data/test" / data).iterdir())
    found = dict(zip(VARIANTS, means(evaluate(net, files, scale=scale, ks=[*VARIANTS.values()])), strict=True))
    assert found["B"].psnr_y < found["M"].psnr_y <= found["A"].psnr_y + 0.005
    with (shared / "paper/table07.csv").open(newline="") as file:
        papers = {(r["scale"], r["network"], r["variant"], r["dataset"]): r for r in csv.DictReader(file)}
    told = table("docs/weights.md", "fsrcnn")
    for variant, k in VARIANTS.items():
        amount, *cells = told[f"fsrcnn-m-x{scale}", variant]
        assert amount == str(k)
        ours, theirs = (pair(cell) for cell in (cells[:2] if data == "Set5" else cells[2:]))
        assert ours == (
            pytest.approx(found[variant].psnr_y, abs=0.006),
            pytest.approx(found[variant].ssim_y, abs=0.0001),
        )
        paper = papers[str(scale), "FSRCNN", variant, data]
        assert theirs == (float(paper["psnr_db"]), float(paper["ssim"]))
