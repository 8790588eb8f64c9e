"""Saved networks and pictures for the commands."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cli.calls import picture, save

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone


@pytest.fixture(scope="session")
def nets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Untrained networks by style that enlarge by 2, with patches of 4 x 4."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("nets")
    for style in ("paper", "pretrained"):
        net = accelerate(create_backbone("fsrcnn", scale=2), style=style, p=4)
        net.fitted = True  # so that nothing is said of it
        net.save_pretrained(folder / style)
    return {style: folder / style for style in ("paper", "pretrained")}


@pytest.fixture
def saved(nets: dict[str, Path]) -> Path:
    """The one whose refined patches differ from the coarse image."""
    return nets["paper"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return save(tmp_path / "in" / "photo.png")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number, mode in enumerate(("RGB", "L", "RGBA")):
        picture(tmp_path / "hr" / f"{number}.png", 40, 48, mode=mode)
    return tmp_path / "hr"
