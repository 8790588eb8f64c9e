"""The weights in the package: there, loadable, and as good as README and docs say."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import mga_wrap as mga
from mga_wrap.counting import count_macs
from mga_wrap.infer.networks import EMBEDDED
from mga_wrap.measure import evaluate, means
from mga_wrap.nets.mga import Amount
from mga_wrap.networks import load_network
from mga_wrap.pictures import psnr, resize_bicubic
from mga_wrap.pictures.pairs import as_bytes, find_pairs, read_pair

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


FSRCNN = ("fsrcnn-m-x2", "fsrcnn-m-x3", "fsrcnn-m-x4")
OURS = {"pan-m-x2": 0.2, "pan-m-x3": 0.2, "pan-m-x4": 0, "rfdn-m-x2": 0, "rfdn-m-x4": 0}
"""And the k that is each one's own: 0 where refining a fifth gains less than 0.05 dB."""


def test_every_scale_has_its_weights() -> None:
    assert mga.list_pretrained() == (*FSRCNN, *OURS)
    assert set(EMBEDDED.values()) <= set(mga.list_pretrained())
    for scale, name in EMBEDDED.items():
        assert mga.from_pretrained(name).scale == scale


@pytest.mark.parametrize("name", FSRCNN)
def test_fsrcnn_is_the_papers(name: str) -> None:
    net = mga.from_pretrained(name)
    assert name.endswith(f"-x{net.scale}")
    assert (net.p, net.halo, net.config.style, net.training) == (4, 1, "paper", False)
    assert sum(parameter.numel() for parameter in net.parameters()) == 43_270


@pytest.mark.parametrize("name", OURS)
def test_ours_are_whole_networks_of_published_options(name: str) -> None:
    net = mga.from_pretrained(name)
    assert name.endswith(f"-x{net.scale}")
    assert (net.p, net.halo, net.k, net.config.style, net.training) == (16, 2, OURS[name], "pretrained", False)
    assert net.backbone == {"name": name.split("-")[0], "scale": net.scale}


def test_the_weights_take_little_room() -> None:
    folder = Path(mga.__file__).parent / "weights"
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 20e6


VARIANTS: dict[str, Amount] = {"B": 0, "D": "dense", "A": "all", "M": 240}


def table(page: str, name: str) -> dict[tuple[str, ...], list[str]]:
    """The rows of a table in the docs, cells by the first two."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.search(rf"<!-- table:{name} -->(.*?)<!-- /table -->", text, re.DOTALL)
    assert found is not None
    rows = found[1].strip().splitlines()[2:]
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


@pytest.mark.parametrize("name", OURS)
def test_ours_are_what_the_table_says(name: str, shared: Path) -> None:
    net = mga.from_pretrained(name)
    amounts: dict[str, Amount] = {"B": 0, "M": 0.2, "A": "all", "D": "dense"}
    files = sorted((shared / "data/test/Set5").iterdir())
    found = dict(zip(amounts, means(evaluate(net, files, scale=net.scale, ks=[*amounts.values()])), strict=True))
    assert (found["M"].psnr_y - found["B"].psnr_y >= 0.05) == (net.k > 0)
    with (shared / "paper/table07.csv").open(newline="") as file:
        papers = {(r["scale"], r["network"], r["variant"], r["dataset"]): r for r in csv.DictReader(file)}
    told = table("docs/weights.md", "ours")
    for variant, k in amounts.items():
        amount, ours, *theirs = told[name, variant]
        assert amount == str(k)
        assert pair(ours) == (
            pytest.approx(found[variant].psnr_y, abs=0.006),
            pytest.approx(found[variant].ssim_y, abs=0.0001),
        )
        for cell, data in zip(theirs[::2], ("Set5", "Set14"), strict=True):
            paper = papers[str(net.scale), name.split("-")[0].upper(), variant, data]
            assert pair(cell) == (float(paper["psnr_db"]), float(paper["ssim"]))
    if name in EMBEDDED.values():  # README tells it of those that are used, at k=0, at their own and "dense"
        cells = table("README.md", "weights")[name, f"{net.k:g}"]
        for cell, variant in zip(cells, ("B", "M" if net.k else "B", "D"), strict=True):
            row = found[variant]
            assert pair(cell) == (pytest.approx(row.psnr_y, abs=0.006), pytest.approx(row.ssim_y, abs=0.0001))


@pytest.mark.parametrize("name", mga.list_students())
@pytest.mark.parametrize("data", ["Set5", "Set14"])
def test_the_student_is_what_the_table_says(data: str, name: str, shared: Path) -> None:
    net = load_network(name)
    files = sorted((shared / "data/test" / data).iterdir())
    rows = evaluate(net, files, scale=net.scale, ks=[None])
    (found,) = means(rows)
    cells = table("docs/weights.md", "students")[name, f"{macs_of(net):,}"]
    assert pair(cells[0 if data == "Set5" else 1]) == (
        pytest.approx(found.psnr_y, abs=0.006),
        pytest.approx(found.ssim_y, abs=0.0001),
    )
    for row, pair_of_files in zip(rows, find_pairs(shared / "data/test" / data, scale=net.scale), strict=True):
        low, high = read_pair(pair_of_files, scale=net.scale, crop=net.scale)
        bicubic = resize_bicubic(as_bytes(low.rgb), net.scale)
        assert row.psnr_y > psnr(bicubic, high, border=net.scale), row.picture  # on a strange one others exploded


def macs_of(net: nn.Module) -> int:
    """A pixel of lr."""
    return count_macs(net, torch.zeros(1, 3, 16, 16)) // 16**2
