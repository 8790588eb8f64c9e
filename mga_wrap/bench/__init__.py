"""Seconds and memory of an accelerated network against the original, in one run."""

from mga_wrap.bench.benchmark import bench
from mga_wrap.bench.result import Bench
from mga_wrap.bench.row import BenchRow

__all__ = ["Bench", "BenchRow", "bench"]
