"""What `accelerate` makes of a network of the zoo: exact, inexact or refused, and why."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

import mga_wrap as mga
from mga_wrap.cut.anatomy import Anatomy


@dataclass(frozen=True)
class Finding:
    """A row of the table in docs/networks.md."""

    name: str
    verdict: str
    """ "exact", "inexact" or "refused"."""
    why: str
    blocks: str
    """How many, and the first one's name."""
    multiple: str
    """Sides of windows are a multiple of this."""
    halo: str
    """The exact one, for a cut in the middle."""
    seconds: float
    """To accelerate it."""

    def row(self) -> str:
        """The table's row; the last column is a measurement."""
        cells = (self.name, self.verdict, self.blocks, self.multiple, self.halo, self.why)
        return f"| {' | '.join(cells)} | {self.seconds:.1f} |"


def cuts_of(anatomy: Anatomy) -> list[int]:
    """Near the first block, in the middle, before the last."""
    count = len(anatomy.blocks)
    return sorted({1, count // 2, count - 1})


def patch_of(anatomy: Anatomy) -> int:
    """A patch side that the network takes: the default, or its own windows."""
    return -(-16 // anatomy.multiple) * anatomy.multiple


def accelerate(model: nn.Module, anatomy: Anatomy, count: int) -> mga.MGANet:
    """Cut behind so many blocks, with the exact halo where there is one."""
    return mga.accelerate(model, split_at=count, p=patch_of(anatomy), halo=anatomy.reach_after(count))


@dataclass(frozen=True)
class Study:
    """A finding, and what it was found with."""

    finding: Finding
    anatomy: Anatomy | None = None
    net: mga.MGANet | None = None
    """Cut in the middle; None if it is refused."""


def study(name: str, model: nn.Module) -> Study:
    """Try a network."""
    start = time.perf_counter()
    try:
        anatomy = mga.inspect(model)
        middle = len(anatomy.blocks) // 2
        exact, start = anatomy.reach_after(middle), time.perf_counter()
        net = accelerate(model, anatomy, middle)
    except mga.CutError as error:
        return Study(Finding(name, "refused", f"`{error}`", "", "", "", time.perf_counter() - start))
    finding = Finding(
        name=name,
        verdict="inexact" if exact is None else "exact",
        why=anatomy.inexact_after(middle),
        blocks=f"{len(anatomy.blocks)}, from `{anatomy.blocks[0].name}`",
        multiple=str(anatomy.multiple),
        halo="none" if exact is None else str(exact),
        seconds=time.perf_counter() - start,
    )
    return Study(finding, anatomy, net)


def image(batch: int, height: int, width: int) -> torch.Tensor:
    """(B, 3, H, W), the same each time; smooth, since trained attention may make 1e6 of white noise."""
    few = torch.rand(batch, 3, height // 8 + 2, width // 8 + 2, generator=torch.Generator().manual_seed(height + width))
    return functional.interpolate(few, size=(height, width), mode="bilinear")
