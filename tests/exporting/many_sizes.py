"""Exported files against torch at random sizes, by hand: `python tests/exporting/many_sizes.py`.

It takes minutes, most of which the exporter takes; the suite does the same for four sizes of a toy.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import warnings
from pathlib import Path

from torch import nn

import mga_wrap as mga
from mga_wrap.config import Amount
from mga_wrap.exporting.export import FORMATS
from mga_wrap.exporting.parity import compare
from mga_wrap.networks import load_network

ENGINES = {".onnx": "onnxruntime", ".xml": "OpenVINO"}
LARGEST = 160
"""Pixels of a side."""


def compared(net: nn.Module, k: Amount | None, file: Path, *, smallest: int, count: int, seed: int) -> str:
    """Run a file at random sizes and compare with the network, to 1e-4; what came of it, in a line."""
    draw = random.Random(seed)
    sizes = [(draw.randint(smallest, LARGEST), draw.randint(smallest, LARGEST)) for _ in range(count)]
    form = FORMATS[file.suffix]
    files = (file, *(file.with_suffix(suffix) for suffix in form.beside))
    worst, tied = compare(net, form.open(files), k, sizes)
    ties = f"{tied} patches of tied scores, refined or not"
    return f"{ENGINES[file.suffix]}: {count} sizes, seed {seed}, within {worst:.1e}, {ties}"


def main() -> None:
    """An FSRCNN in style "paper", and a student cut in style "pretrained"."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, default=30)
    parser.add_argument("--seed", type=int, default=14)
    given = parser.parse_args()
    warnings.simplefilter("ignore", mga.UnfittedWarning)
    student = mga.accelerate(load_network("student-x4"), p=8).eval()
    nets = {"fsrcnn-m-x2": mga.from_pretrained("fsrcnn-m-x2"), "student-x4, cut": student}
    for name, net in nets.items():
        with tempfile.TemporaryDirectory() as folder:
            for suffix in ENGINES:
                written = mga.export(net, Path(folder) / f"net{suffix}", k=0.3, check=False)
                assert written.size is None
                line = compared(net, 0.3, written.path, smallest=written.smallest, count=given.sizes, seed=given.seed)
                print(f"{name}, {line}", flush=True)


if __name__ == "__main__":
    main()
