"""The weights in the package: there, loadable, and as good as README and docs say."""

from __future__ import annotations

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


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_set5_is_what_the_tables_say(scale: int, shared: Path) -> None:
    net = mga.from_pretrained(f"fsrcnn-m-x{scale}")
    files = sorted((shared / "data/test/Set5").iterdir())
    base, some, every = means(evaluate(net, files, scale=scale, ks=[0, 240, "all"]))
    assert base.psnr_y < some.psnr_y
    assert abs(some.psnr_y - every.psnr_y) <= 0.03
    for page in ("README.md", "docs/weights.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        row = re.search(rf"^\| fsrcnn-m-x{scale} \| (\d[\d.]+ / .*) \|$", text, re.MULTILINE)
        assert row is not None
        told = [[float(number) for number in cell.split("/")] for cell in row[1].split("|")]
        for (psnr, ssim), measured in zip(told, (base, some, every), strict=True):
            assert measured.psnr_y == pytest.approx(psnr, abs=0.006)
            assert measured.ssim_y == pytest.approx(ssim, abs=0.0001)
