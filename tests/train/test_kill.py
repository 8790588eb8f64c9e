"""Killed at any moment, a training ends with the weights of the one that was never killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toys.trainings import rows, smooth

from mga_wrap.train.state import load_state

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
KILLS = 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_twenty_kills_at_random_change_nothing(tmp_path: Path) -> None:
    images = smooth(tmp_path / "images")
    command = [sys.executable, str(HERE / "kill_often.py"), str(images), str(tmp_path), str(KILLS), "1"]
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE.parent), str(HERE)])
    result = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.startswith(f"killed {KILLS} finished ")
    expected = load_state(tmp_path / "whole")
    finished = [folder for folder in tmp_path.iterdir() if folder.name.isdigit()]
    assert finished
    for folder in finished:
        state = load_state(folder)
        assert (state.stage, state.step) == (expected.stage, expected.step) == (2, 0)
        assert state.tensors.keys() == expected.tensors.keys()
        for name, value in expected.tensors.items():
            assert torch.equal(state.tensors[name], value), name
        for name in ("last", "best"):
            one, two = (path / name / "model.safetensors" for path in (folder, tmp_path / "whole"))
            assert one.read_bytes() == two.read_bytes()
        assert without_seconds(folder) == without_seconds(tmp_path / "whole")
        assert not list(folder.glob("**/.mga-*"))


def without_seconds(folder: Path) -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows(folder)]
