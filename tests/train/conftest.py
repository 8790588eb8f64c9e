"""Fixtures for tests that train."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState
from toys.trainings import STAGES, paper_net, smooth

import mga_wrap as mga


@pytest.fixture(autouse=True)
def _fresh_accelerate() -> Iterator[None]:
    """Accelerate keeps device and precision for the whole process."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return smooth(tmp_path_factory.mktemp("images"))


@pytest.fixture
def make(images: Path, tmp_path: Path) -> Callable[..., mga.MGATrainer]:
    """A trainer of a tiny network in a folder of the given name."""

    def trainer_in(name: str = "out", *, net: mga.MGANet | None = None, **options: object) -> mga.MGATrainer:
        arguments = {"data": images, "stages": STAGES, "device": "cpu", **options}
        return mga.MGATrainer(net or paper_net(), output_dir=tmp_path / name, **arguments)

    return trainer_in
