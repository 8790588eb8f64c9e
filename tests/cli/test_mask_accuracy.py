"""`mga-wrap mask-accuracy`: what it counts and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from cli.calls import measure, table
from PIL import Image

import mga_wrap as mga
from mga_wrap.measure.error_mask import agreement, true_mask
from mga_wrap.pictures import resize_bicubic

ROOT = Path(__file__).resolve().parents[2]


def test_mask_accuracy_is_the_share_of_patches_in_both(nets: dict[str, Path], data: Path, tmp_path: Path) -> None:
    paper = tmp_path / "table01.csv"
    paper.write_text("k,number_in_both_top_k,accuracy_percent\n9,6,66.7\n400,302,75.5\n")
    out = [("--csv", tmp_path / "a.csv"), ("--json", tmp_path / "a.json"), ("--markdown", tmp_path / "a.md")]
    words = [word for pair in out for word in pair]
    result = measure("mask-accuracy", data, nets["paper"], "--k", 3, "--k", 9, "--k", 400, "--paper", paper, *words)
    assert result.exit_code == 0, result.stderr
    found = table(tmp_path / "a.csv")
    assert [(row["picture"], row["asked"]) for row in found[:3]] == [("0.png", "3"), ("0.png", "9"), ("0.png", "400")]
    net = mga.from_pretrained(nets["paper"])
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


def test_mask_accuracy_needs_a_table_1_that_is_one(nets: dict[str, Path], data: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    result = measure("mask-accuracy", data, nets["paper"], "--paper", tmp_path / "t.csv")
    assert result.exit_code == 2
    assert "is no Table 1 (KeyError: 'k'); expected the columns k, accuracy_percent" in result.stderr
