"""What a network is made of and where it can be cut, for people."""

from __future__ import annotations

import io
import math
import textwrap
from dataclasses import dataclass

from rich.console import Console
from rich.table import Column, Table
from torch import fx

from mga_wrap.cut.cost import TAILS, Costs, costs_of
from mga_wrap.cut.crossing import CHANNELS, crossing_nodes, interface
from mga_wrap.cut.reach import Inexact, reaches
from mga_wrap.cut.windows import spare_of, usual_halo
from mga_wrap.errors import CutError
from mga_wrap.graph.chain import Chain
from mga_wrap.graph.trace import descendants, fact
from mga_wrap.nets.layouts import Crossing


@dataclass(frozen=True)
class Part:
    """A stretch of the network."""

    name: str
    """Dotted name as in print(model); for head and tail what they hold, in order."""
    macs: float
    """Multiply-accumulates per lr pixel, of convolutions and matrix products."""
    share: float
    """MACs over those of the network, 0 to 1."""
    reach: int | None
    """Receptive field beyond a pixel's own square, in pixels of the feature; None: no halo is exact."""
    crossing: tuple[str, ...] = ()
    """What crosses a cut after this block, as "channels x resolution"; empty for head, tail and last block."""
    inexact: str = ""
    """Why no halo is exact, where none is."""


@dataclass(frozen=True)
class Anatomy:
    """Head, chain of blocks and tail of a network; print it."""

    network: str
    """Its class."""
    scale: int
    """Sides of sr over sides of lr."""
    head: Part
    blocks: tuple[Part, ...]
    tail: Part
    light_macs: float
    """MACs per lr pixel of a light coarse tail (`coarse_tail="light"`)."""
    score_macs: float
    """MACs of the score predictor for each patch, over the lr pixels of a pixel of the feature."""
    multiple: int
    """The network works in windows whose sides are a multiple of this; 1 if it does not."""
    spare: int = 0
    """Feature pixels at a window's edge that the network does not fill: no halo is narrower."""

    @property
    def macs(self) -> float:
        """Multiply-accumulates per lr pixel."""
        return self.head.macs + sum(block.macs for block in self.blocks) + self.tail.macs

    def reach_after(self, count: int) -> int | None:
        """The halo that makes refining exact when `count` blocks are in the Base-Net; None: no halo does.

        Where the network works in windows, p has to be a multiple of them too.
        """
        total = 0
        for part in (*self.blocks[count:], self.tail):
            if part.reach is None:
                return None
            total += part.reach
        return -(-total // self.multiple) * self.multiple

    def inexact_after(self, count: int) -> str:
        """Why no halo makes refining exact when `count` blocks are in the Base-Net; empty where one does."""
        reasons = [f"{part.name} {part.inexact}" for part in (*self.blocks[count:], self.tail) if part.inexact]
        return reasons[0] if reasons else ""

    def cost(self, count: int, *, share: float, p: int, halo: int, coarse_tail: str = "copy") -> float:
        """MACs after a cut over those of the original, the mask predictor's among them.

        Args:
            count: blocks in the Base-Net.
            share: refined patches over all patches, 0 to 1.
            p: patch side.
            halo: ring around each patch.
            coarse_tail: of the Base-Net, "copy" or "light".
        """
        blocks = tuple(block.macs for block in self.blocks)
        costs = Costs(self.head.macs, blocks, self.tail.macs, self.light_macs, self.score_macs)
        return costs.over_original(count, share=share, p=p, halo=halo, coarse_tail=coarse_tail)

    def halo_for(self, p: int) -> int:
        """The halo that `accelerate` takes for patches of side p unless it is told.

        Raises:
            CutError: the network works in windows that p does not fit.
        """
        return usual_halo(p=p, multiple=self.multiple, spare=self.spare)

    def render(self, *, p: int = 16, halo: int | None = None) -> str:
        """What print shows, in 80 columns: the parts, then the cuts, for patches of side p.

        Args:
            p: patch side.
            halo: ring around each patch; None: the one that `accelerate` takes.
        """
        halo = self.halo_for(p) if halo is None else halo
        parts = Table("part", *(Column(name, justify="right", no_wrap=True) for name in ("MACs/px", "share", "reach")))
        for part, prefix in ((self.head, "head: "), *((block, "") for block in self.blocks), (self.tail, "tail: ")):
            reach = "" if part is self.head else _reach(part.reach)
            parts.add_row(prefix + part.name, _thousands(part.macs), f"{part.share:.1%}", reach)
        costs = [Column(f"cost\nat {share:g}", justify="right", no_wrap=True) for share in SHARES]
        cuts = Table("a cut\nafter", Column("exact\nhalo", justify="right", no_wrap=True), "what crosses\nit", *costs)
        for count, block in enumerate(self.blocks[:-1], 1):
            cost = (self._costs(count, share=share, p=p, halo=halo) for share in SHARES)
            cuts.add_row(block.name, _reach(self.reach_after(count)), ", ".join(block.crossing), *cost)
        title = f"{self.network}: x{self.scale}, {_thousands(self.macs)} MACs per lr pixel"
        return "\n".join([_filled(title), _drawn(parts), _drawn(cuts), *map(_filled, self._advice(p, halo))])

    def __str__(self) -> str:
        return self.render()

    def _costs(self, count: int, *, share: float, p: int, halo: int) -> str:
        both = (self.cost(count, share=share, p=p, halo=halo, coarse_tail=tail) for tail in TAILS)
        return "|".join(f"{cost:.2f}" for cost in both)

    def _advice(self, p: int, halo: int) -> list[str]:
        lines = [
            f"cost: MACs over the original's at that share of refined patches (p={p}, halo={halo}), with a copy of the "
            "tail | with a light one."
        ]
        cuts = range(1, len(self.blocks))
        least = {t: min(self.cost(c, share=SHARES[0], p=p, halo=halo, coarse_tail=t) for c in cuts) for t in TAILS}
        if min(least.values()) >= 1:
            lines.append("No cut saves anything here: what runs for the whole image is most of the network.")
        elif least["copy"] >= 1:
            lines.append("With a copy of the tail no cut saves anything here: head and tail are most of the network.")
        if self.multiple > 1:
            lines.append(
                f"It works in windows: p + 2 * halo has to be a multiple of {self.multiple}; for an exact halo p too."
            )
        if why := self.inexact_after(0):
            lines.append(f"none: {why}; refined patches differ a little from the original.")
        return lines


_WIDTH = 80
"""Columns of what print shows."""
SHARES = (0.1, 0.25, 0.5)


def describe(chain: Chain) -> Anatomy:
    """Measure a chain: MACs, what crosses each cut, receptive fields."""
    height, width = chain.example.shape[-2:]
    pixels = chain.example.shape[0] * height * width
    nodes = [node for node in chain.traced.graph.nodes if node.op != "output"]
    body = {node for block in chain.blocks for node in block.nodes}
    behind = descendants([chain.blocks[-1].end])
    total = sum(fact(node).macs for node in nodes) / pixels
    block_reach, tail_reach = reaches(chain)
    crosses = interface(chain, 1)
    costs = costs_of(chain, crosses)

    def part(name: str, macs: float, reach: int | Inexact | None, crossing: tuple[str, ...] = ()) -> Part:
        known = None if isinstance(reach, Inexact) else reach
        why = reach.value if isinstance(reach, Inexact) else ""
        return Part(name, macs / pixels, macs / pixels / total, known, crossing, why)

    head = [node for node in nodes if node not in body and node not in behind]
    tail = [node for node in nodes if node in behind]
    blocks = [
        part(block.name, block.macs, reach, _crossing(chain, count))
        for count, (block, reach) in enumerate(zip(chain.blocks, block_reach, strict=True), 1)
    ]
    return Anatomy(
        network=chain.name,
        scale=chain.scale,
        head=part(_names(head), sum(fact(node).macs for node in head), None),
        blocks=tuple(blocks),
        tail=part(_names(tail), sum(fact(node).macs for node in tail), tail_reach),
        light_macs=costs.light,
        score_macs=costs.score,
        multiple=crosses.multiple,
        spare=spare_of(crosses),
    )


def _crossing(chain: Chain, count: int) -> tuple[str, ...]:
    if count == len(chain.blocks):
        return ()
    nodes = crossing_nodes(chain, count)[1]
    try:
        crosses = interface(chain, count).crossing
    except CutError:  # `accelerate` refuses to cut here, and says why
        return tuple(f"{fact(node).shape} (no map)" for node in nodes)
    shown = [_shown(fact(node).shape or (), one) for node, one in zip(nodes, crosses, strict=True)]
    shown = shown[:-1] if chain.sized else shown  # the last is lr, for its size alone
    return tuple(text for text in shown if text)


def _shown(shape: tuple[int, ...], crossing: Crossing) -> str:
    if crossing.layout not in CHANNELS:  # what images share is as good as a constant
        return f"{' x '.join(map(str, shape[1:]))} an image" if crossing.layout == "image" else ""
    return f"{shape[CHANNELS[crossing.layout]]} x {crossing.ratio}"


def _names(nodes: list[fx.Node]) -> str:
    calls = list(dict.fromkeys(str(node.target) for node in nodes if node.op == "call_module" and fact(node).macs))
    return ", ".join(calls) or "-"


def _drawn(table: Table) -> str:
    """A table as text. Names and what crosses are folded where it would be too wide; columns of numbers are not."""
    for column in table.columns:
        column.overflow = "fold"
    text = io.StringIO()
    Console(file=text, width=_WIDTH, markup=False, force_terminal=False, force_jupyter=False).print(table)
    return text.getvalue().rstrip()


def _filled(sentence: str) -> str:
    return textwrap.fill(sentence, _WIDTH, break_on_hyphens=False)


def _reach(reach: int | None) -> str:
    return "none" if reach is None else str(reach)


def _thousands(macs: float) -> str:
    return f"{math.floor(macs + 0.5):,}"
