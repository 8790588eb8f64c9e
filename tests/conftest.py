"""Fixtures for all tests. Real images and checkpoints lie beside the repository; without them those tests skip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

settings.register_profile("mga_wrap", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("mga_wrap")

SET5_NAMES = ("baby", "bird", "butterfly", "head", "woman")


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
