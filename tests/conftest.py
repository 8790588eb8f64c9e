"""Fixtures for all tests. Real images and checkpoints lie beside the repository; without them those tests skip."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported: no test asks anybody but a server on loopback

import numpy as np
import pytest
from hub_server import WRITER, Hub, serve
from huggingface_hub import constants
from hypothesis import settings
from PIL import Image

settings.register_profile("mga_wrap", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("mga_wrap")

SET5_NAMES = ("baby", "bird", "butterfly", "head", "woman")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty hub on loopback, huggingface_hub with an empty cache and no token, and a folder to work in.

    huggingface_hub reads its variables when it is imported: HF_ENDPOINT, HF_HUB_CACHE and the like are set as it keeps
    them. A test in tests/test_remote.py sets the variables themselves.
    """
    with serve() as hub:
        for name, value in {
            "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_TOKEN_PATH": str(tmp_path / "token"),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_OFFLINE": False,
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.chdir(tmp_path)
        yield hub


@pytest.fixture
def hub_writer(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The same, logged in as the owner of everything."""
    monkeypatch.setenv("HF_TOKEN", WRITER)
    return hub


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ``shared/`` beside the repository: images, checkpoints and the paper's tables."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder shared/ (test images and public checkpoints) beside the repository")
    return folder


@pytest.fixture(scope="session")
def set5(shared: Path) -> dict[str, np.ndarray]:
    """The HR images of Set5 by name, uint8 (H, W, 3) RGB."""
    return {name: _read_rgb(shared / "data/test/Set5" / f"{name}.png") for name in SET5_NAMES}


@pytest.fixture(scope="session")
def set5_lr(shared: Path) -> dict[tuple[str, int], np.ndarray]:
    """MATLAB's LR images of Set5 by (name, scale), uint8 (H, W, 3) RGB."""
    folder = shared / "data/test/Set5_LR_matlab"
    return {
        (name, scale): _read_rgb(folder / f"X{scale}" / f"{name}x{scale}.png")
        for name in SET5_NAMES
        for scale in (2, 3, 4)
    }


@pytest.fixture(scope="session")
def pan_checkpoints(shared: Path) -> dict[int, Path]:
    """The public PAN checkpoints by scale."""
    return {scale: shared / "weights" / f"PANx{scale}_DF2K.pth" for scale in (2, 3, 4)}


def _read_rgb(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
