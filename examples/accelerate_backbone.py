"""Accelerate one of the networks that come with the package: fsrcnn, pan, rcan, rfdn or srresnet.

python examples/accelerate_backbone.py pan
python examples/accelerate_backbone.py pan --weights PANx4_DF2K.pth --fit photos --split-at 0.5 --width 300

The steps are those of accelerate_rcan.py. Which cut saves anything differs from network to network: the table of blocks
says so first; the seconds, and how near the picture comes to the original's, at the end.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from accelerate_rcan import add_options, walk_through

import mga_wrap as mga
from mga_wrap.backbones.weights import load_weights


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, build the network and go through it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=mga.list_backbones(), help="the network")
    parser.add_argument("--scale", type=int, default=4, help="how many times a side grows: 2, 3 or 4")
    parser.add_argument("--weights", type=Path, help="its weights: .pth or .safetensors")
    add_options(parser)
    given = parser.parse_args(arguments)
    try:
        model = mga.create_backbone(given.name, scale=given.scale)
        if given.weights is not None:
            load_weights(model, given.weights)
        walk_through(model, given)
    except mga.MGAError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
