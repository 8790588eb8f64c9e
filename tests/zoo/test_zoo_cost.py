"""What it costs to accelerate a large network: seconds and memory, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("spandrel", reason="the networks are spandrel's: pip install -e .[dev]")


def test_rcan_at_its_published_size_takes_seconds_and_little_memory() -> None:
    """800 convolutions. CPU seconds on one thread: a busy machine makes them twice what they are, not ten times."""
    script = Path(__file__).with_name("real_sizes.py")
    root = str(script.parents[2])
    result = subprocess.run(
        [sys.executable, str(script), "RCAN"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root},
    )
    parameters, seconds, memory = map(float, result.stdout.split())
    assert parameters > 15e6
    assert seconds < 30
    assert memory < 2
