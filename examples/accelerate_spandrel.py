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
from pathlib import Path

from accelerate_rcan import add_options, walk_through
from spandrel import ImageModelDescriptor, ModelLoader

import mga_wrap as mga


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, load the network and go through it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="the network's file: .pth or .safetensors")
    add_options(parser)
    given = parser.parse_args(arguments)
    try:
        found = ModelLoader(device="cpu").load_from_file(given.file)
    except Exception as error:  # whatever a file that is something else makes of the readers
        sys.exit(f"error: {given.file} is no network that spandrel knows: {error}")
    if not isinstance(found, ImageModelDescriptor) or found.input_channels != 3 or found.scale < 2:
        sys.exit(f"error: {given.file} holds {found.architecture.name}, which does not enlarge an RGB image")
    print(f"{found.architecture.name}, x{found.scale}")
    try:
        walk_through(found.model.float(), given)  # weights in float16 become float32
    except mga.MGAError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
