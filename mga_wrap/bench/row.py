"""One row of a benchmark: one way to enlarge the image, and what it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class BenchRow:
    """One way to enlarge the image."""

    name: str
    """What was run."""
    format: str
    """Memory format and dtype."""
    share: float | None
    """Refined patches over all patches; None for the original."""
    over_as_it_runs: float
    """Its seconds over those of the original as it runs: the median over the rounds. Below 1 is faster."""
    over_best_format: float
    """Its seconds over those of the original in the best format."""
    seconds: float
    """The median."""
    spread: float
    """Half the distance between the quartiles, seconds."""
    parts: Mapping[str, float]
    """Median seconds of the accelerated network's parts; empty for the original."""
    macs: int
    """Multiply-accumulates of convolutions and matrix products; for another engine those of the original."""
    of_product: float
    """Its MACs a second over those of a matrix product of the same dtype, measured in the same run."""
    memory: int | None
    """Bytes at the highest, beyond weights and libraries; None where it was not measured."""

    @property
    def macs_per_second(self) -> float:
        """MACs over the median seconds."""
        return self.macs / self.seconds

    @property
    def label(self) -> str:
        """What was run, the share with it."""
        return f"{self.name}, share {self.share:g}" if self.share else self.name

    @property
    def overhead(self) -> float:
        """The share of the time of the parts that is spent on neither Base-Net nor Refine-Net."""
        return 1 - (self.parts["base"] + self.parts["refine"]) / sum(self.parts.values())
