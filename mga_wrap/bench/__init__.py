"""Seconds and memory of an accelerated network against the original, in one run."""

from mga_wrap.bench.benchmark import Bench, BenchRow, bench

__all__ = ["Bench", "BenchRow", "bench"]
