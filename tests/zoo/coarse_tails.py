"""What a coarse tail is worth after a minute or so: a copy of the network's own beside a light one, fitted alike.

python tests/zoo/coarse_tails.py IMAGES WEIGHTS prints the table of docs/scheme.md; IMAGES is a folder of photographs,
WEIGHTS one with the public checkpoints of three networks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from torch import nn

import mga_wrap as mga
from mga_wrap.backbones.rfdn import RFDN
from mga_wrap.backbones.weights import load_weights

SECONDS = 80
SHARE = 0.2


def with_weights(model: nn.Module, file: str) -> Callable[[Path], nn.Module]:
    def load(folder: Path) -> nn.Module:
        load_weights(model, folder / file)
        return model.eval()

    return load


def compact(folder: Path) -> nn.Module:
    from spandrel import ModelLoader

    return ModelLoader().load_from_file(folder / "realesr-animevideov3-x4.safetensors").model.eval().float()


NETWORKS: dict[str, tuple[Callable[[Path], nn.Module], dict[str, int]]] = {
    "PAN x4": (with_weights(mga.create_backbone("pan", scale=4), "PANx4_DF2K.pth"), {"copy": 6, "light": 6}),
    "RFDN x4": (with_weights(RFDN(scale=4, num_modules=4, rgb_range=255), "RFDN_AIM.pth"), {"copy": 1, "light": 1}),
    "animevideov3": (compact, {"copy": 5, "light": 4}),
}
"""Each network, and the blocks in its Base-Net for each tail."""


def row(name: str, tail: str, *, images: Path, weights: Path) -> str:
    """A row of the table."""
    load, blocks = NETWORKS[name]
    model = load(weights)
    anatomy = mga.inspect(model)
    net = mga.accelerate(model, split_at=blocks[tail], coarse_tail=tail).eval()
    cost = anatomy.cost(blocks[tail], share=SHARE, p=net.p, halo=net.halo, coarse_tail=tail)
    fitted = {one.share: one for one in mga.fit(net, images, seconds=SECONDS).after}
    cells = [
        name,
        f"{anatomy.tail.share:.0%}",
        tail,
        f"{blocks[tail]} of {len(anatomy.blocks)}",
        f"{cost:.2f}",
        *(f"{fitted[share].fidelity:.1f}" for share in (0.0, SHARE)),
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    print(f"| network | its tail | coarse tail | blocks | cost at {SHARE:g} | coarse, dB | at {SHARE:g}, dB |")
    print("|" + "---|" * 7)
    for network, (_, tails) in NETWORKS.items():
        for kind in tails:
            print(row(network, kind, images=Path(sys.argv[1]), weights=Path(sys.argv[2])), flush=True)
