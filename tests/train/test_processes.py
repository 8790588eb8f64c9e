"""Two processes on the CPU learn what one learns with twice the batch."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toys.trainings import rows, smooth

from mga_wrap.train.state import load_state

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
SCRIPT = """
import sys
from dataclasses import replace
from toys.trainings import STAGES, paper_net
from mga_wrap.train.trainer import MGATrainer
from mga_wrap.train.validate import Validation
images, out, batch = sys.argv[1], sys.argv[2], int(sys.argv[3])
stages = [replace(stage, batch=batch, steps=8) for stage in STAGES]
validation = Validation(images, images=1, every=1)
MGATrainer(paper_net(), images, stages=stages, output_dir=out, validation=validation, device="cpu").fit()
"""


def start(images: Path, out: Path, batch: int, **environment: object) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE.parent), str(HERE)])
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(images), str(out), str(batch)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **{k: str(v) for k, v in environment.items()}},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_are_one_with_twice_the_batch(tmp_path: Path) -> None:
    images = smooth(tmp_path / "images")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pair = {"WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    running = [start(images, tmp_path / "two", 2, RANK=rank, LOCAL_RANK=rank, **pair) for rank in (0, 1)]
    running.append(start(images, tmp_path / "one", 4))
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    one, two = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert len(one) == len(two) == 16
    for a, b in zip(one, two, strict=True):
        assert (a["stage"], a["step"]) == (b["stage"], b["step"])
        assert float(a["loss"]) == pytest.approx(float(b["loss"]), abs=1e-5)
        assert float(a["psnr_0.25"]) == pytest.approx(float(b["psnr_0.25"]), abs=1e-3)
    one_state, two_state = load_state(tmp_path / "one"), load_state(tmp_path / "two")
    for name, value in one_state.tensors.items():
        torch.testing.assert_close(two_state.tensors[name], value, atol=1e-5, rtol=1e-4)
