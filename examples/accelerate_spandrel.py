"""Accelerate a super-resolution network that somebody else trained, from its file, by way of spandrel.

pip install spandrel
python examples/accelerate_spandrel.py realesr-animevideov3-x4.safetensors --split-at 0.5

spandrel finds out from the names in the file which network it is. Nothing here is written for one of them: a network
that cannot be cut is told so. The steps are those of accelerate_rcan.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from accelerate_rcan import add_options, walk_through

import mga_wrap as mga
from mga_wrap.networks import load_network


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, load the network and go through it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="the network's file: .pth or .safetensors")
    add_options(parser)
    given = parser.parse_args(arguments)
    try:
        walk_through(load_network(given.file), given)
    except mga.MGAError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
