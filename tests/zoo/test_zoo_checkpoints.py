"""The laws on public checkpoints that lie beside the repository: PAN, RFDN, and two of Real-ESRGAN by spandrel."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from laws import check_laws
from study import study
from torch import nn

import mga_wrap as mga
from mga_wrap.backbones.rfdn import RFDN

pytestmark = pytest.mark.slow


def ours(shared: Path, model: nn.Module, file: str) -> nn.Module:
    model.load_state_dict(torch.load(shared / "weights" / file, weights_only=True), strict=True)
    return model.eval()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pan(scale: int, shared: Path) -> None:
    model = ours(shared, mga.create_backbone("pan", scale=scale), f"PANx{scale}_DF2K.pth")
    found = study("PAN", model)
    assert found.finding.verdict == "exact"
    check_laws(model, found.anatomy, found.net)


def test_rfdn(shared: Path) -> None:
    model = ours(shared, RFDN(scale=4, num_modules=4, rgb_range=255), "RFDN_AIM.pth")
    found = study("RFDN", model)
    assert found.finding.verdict == "inexact"
    assert "depends on where a window begins" in found.finding.why
    check_laws(model, found.anatomy, found.net)


@pytest.mark.parametrize(
    ("file", "blocks", "cuts"),
    [
        ("realesr-animevideov3-x4.safetensors", 16, None),
        ("realesrgan-x4plus-anime-6b-fp16.safetensors", 6, [3]),
    ],
)
def test_real_esrgan(file: str, blocks: int, cuts: list[int] | None, shared: Path) -> None:
    """In float64: through so many trained layers float32 rounds to more than 1e-5. One cut of the larger network."""
    spandrel = pytest.importorskip("spandrel", reason="loads the checkpoint: pip install -e .[dev]")
    model = spandrel.ModelLoader().load_from_file(shared / "weights" / file).model.double().eval()
    found = study(file, model)
    assert found.finding.verdict == "exact"
    assert len(found.anatomy.blocks) == blocks
    check_laws(model, found.anatomy, found.net, cuts=cuts)
