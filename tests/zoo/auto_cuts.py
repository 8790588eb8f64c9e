"""What split_at="auto" and coarse_tail="auto" take for networks at their published sizes.

python tests/zoo/auto_cuts.py prints the table of docs/scheme.md. Nothing is run, so weights do not matter.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from real_sizes import REAL
from torch import Tensor, nn

import mga_wrap as mga
from mga_wrap.config import CutConfig
from mga_wrap.cut.build import resolve
from mga_wrap.cut.cost import costs_of
from mga_wrap.cut.crossing import interface
from mga_wrap.cut.windows import halo_of
from mga_wrap.graph.chain import Chain, find_chain
from mga_wrap.graph.trace import UntraceableError

SHARES = (0.1, 0.2, 0.3)


class Distilling(nn.Module):
    """Three convolutions that each keep 16 of 64 channels and hand the rest on, and a fourth."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleList([nn.Conv2d(64 if n == 0 else 48, 64, 3, padding=1) for n in range(3)])
        self.last, self.fuse = nn.Conv2d(48, 16, 3, padding=1), nn.Conv2d(64, 64, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept, rest = [], x
        for step in self.steps:
            one, rest = torch.split(nn.functional.leaky_relu(step(rest), 0.05), (16, 48), dim=1)
            kept.append(one)
        return self.fuse(torch.cat([*kept, self.last(rest)], dim=1)) + x


class IMDN(nn.Module):
    """Eight blocks and a long skip, as in the baseline of a challenge for efficient networks."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 64, 3, padding=1)
        self.body = nn.Sequential(*[Distilling() for _ in range(8)], nn.Conv2d(64, 64, 3, padding=1))
        self.tail = nn.Sequential(nn.Conv2d(64, 48, 3, padding=1), nn.PixelShuffle(4))

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        return self.tail(self.body(x) + x)


def backbone(name: str, scale: int) -> Callable[[], nn.Module]:
    return lambda: mga.create_backbone(name, scale=scale)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **{f"{name} x{scale}": backbone(name, scale) for name in mga.list_backbones() for scale in (2, 4)},
    "IMDN, 8 blocks, x4": IMDN,
    "SwinIR x4": REAL["SwinIR"],
    "RRDBNet x4": REAL["RRDBNet"],
}


def chain_of(model: nn.Module) -> Chain:
    """As `accelerate` finds it."""
    try:
        chain = find_chain(model, sized=False)
        interface(chain, 1)
    except UntraceableError:
        return find_chain(model, sized=True)
    return chain


def row(name: str) -> str:
    """A network's row of the table."""
    chain = chain_of(NETWORKS[name]().eval())
    count, config = resolve(chain, CutConfig())
    crosses = interface(chain, count)
    costs, halo = costs_of(chain, crosses, config=config), halo_of(config, crosses)
    figures = [
        costs.over_original(count, share=share, p=config.p, halo=halo, coarse_tail=config.coarse_tail)
        for share in SHARES
    ]
    cells = [
        name,
        f"{costs.tail / costs.original:.0%}",
        f"{config.coarse_tail}",
        f"{count} of {len(chain.blocks)}",
        *(f"{cost:.2f}" for cost in figures),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    shown = " | ".join(f"cost at {share:g}" for share in SHARES)
    print(f"| network | its tail | coarse tail | blocks in the Base-Net | {shown} |")
    print("|" + "---|" * (4 + len(SHARES)))
    for network in NETWORKS:
        print(row(network))
