"""What a pair would cost and where it is exact, for people."""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Column, Table
from torch import Tensor, nn

from mga_wrap.config import CutConfig
from mga_wrap.pair.build import copies
from mga_wrap.pair.meet import meet
from mga_wrap.pair.windows import Sight, Window, Windows, halo_is_exact, share_that_breaks_even, sight_of

WIDTH = 80
"""Columns of what print shows."""
SHARES = (0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Outlook:
    """A pair before it is made; print it."""

    model: str
    """Its class."""
    base: str
    """Its class."""
    scale: int
    """Sides of sr over sides of lr."""
    model_macs: float
    """MACs per lr pixel."""
    base_macs: float
    """MACs per lr pixel."""
    windows: tuple[Window, ...]
    """That the model takes, what is preferred first."""
    usual: Window
    """The one that `accelerate` takes where it is given no pictures."""
    sight: Sight
    """How far the model looks."""
    doubt: str = ""
    """What is not certain of the ranges of values."""

    def breaks_even(self, window: Window) -> float:
        """The share of refined patches at which the pair takes as many MACs as the model."""
        return share_that_breaks_even(window, model_macs=self.model_macs, small_macs=self.base_macs)

    def cost(self, window: Window, *, share: float) -> float:
        """MACs of the pair over the model's, but for the score's, which are few.

        Args:
            window: one of `windows`.
            share: refined patches over all patches, 0 to 1.
        """
        return (self.base_macs + share * window.macs_per_pixel) / self.model_macs

    def __str__(self) -> str:
        columns = [Column(name, justify="right", no_wrap=True) for name in ("p", "halo", "a pixel", "breaks even")]
        table = Table(*columns, *(Column(f"cost\nat {share:g}", justify="right") for share in SHARES), "exact")
        for one in self.windows:
            costs = (f"{self.cost(one, share=share):.2f}" for share in SHARES)
            exact = "yes" if halo_is_exact(self.sight, one.p, one.halo) else ""
            table.add_row(
                f"{one.p}{' *' if one == self.usual else ''}",
                str(one.halo),
                f"{one.macs_per_pixel / self.model_macs:.2f}",
                f"{max(self.breaks_even(one), 0):.2f}",
                *costs,
                exact,
            )
        text = io.StringIO()
        Console(file=text, width=WIDTH, markup=False, force_terminal=False, force_jupyter=False).print(table)
        head = (
            f"{self.model} on windows, {self.base} everywhere: x{self.scale}, {self.model_macs:,.0f} and "
            f"{self.base_macs:,.0f} MACs per lr pixel ({self.base_macs / self.model_macs:.2f})"
        )
        lines = [head, text.getvalue().rstrip(), *self._advice()]
        return "\n".join(line if "\n" in line else textwrap.fill(line, WIDTH) for line in lines)

    def _advice(self) -> list[str]:
        lines = [
            "a pixel: MACs of a window for each pixel of its patch, over the model's own. cost: MACs over the model's "
            "at that share of refined patches. * is taken unless pictures say otherwise."
        ]
        if self.doubt:
            lines.append(f"Doubtful: {self.doubt}.")
        if self.base_macs >= self.model_macs:
            lines.append("The base takes no fewer MACs than the model: the pair saves nothing.")
        if self.sight.reach is None:
            lines.append(f"No halo is exact: the model {self.sight.why}. Refined patches differ a little from its own.")
        else:
            lines.append(f"Refined patches are the model's own with a halo of {self.sight.halo} or more.")
        return lines


@torch.no_grad()
def outlook(model: nn.Module, small: nn.Module, *, example: Tensor | None = None) -> Outlook:
    """Measure a pair without making it.

    Raises:
        ArgumentError: the two do not fit together.
        CutError: the model takes no windows.
    """
    large, little = copies(model, small)
    met = meet(large, little, example=example)
    windows = Windows(large, met.example)
    config = CutConfig()
    return Outlook(
        model=type(model).__name__,
        base=type(small).__name__,
        scale=met.scale,
        model_macs=met.model_macs,
        base_macs=met.small_macs,
        windows=tuple(windows.offered(config)),
        usual=windows.usual(config),
        sight=sight_of(large, met.example, scale=met.scale),
        doubt=met.doubt,
    )
