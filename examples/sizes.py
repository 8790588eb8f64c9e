"""How a network's time grows with the image: seconds a megapixel at several sizes, and for a batch.

Run it by ``python examples/sizes.py NETWORK --weights FILE --sizes 640x360 2560x1440 --batch 8``.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

import mga_wrap as mga
from mga_wrap.config import parse_k
from mga_wrap.errors import MGAError
from mga_wrap.networks import load_network


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", help="as mga-wrap takes it")
    parser.add_argument("--network-args", type=json.loads, help="of code of your own")
    parser.add_argument("--weights", type=Path, help="of a backbone or code")
    parser.add_argument("--split-at", help="cut it there, with a light coarse tail; otherwise the network runs whole")
    parser.add_argument("--k", help="how much is refined, as mga-wrap takes it")
    parser.add_argument("--engine", default="torch", help="torch, openvino, onnxruntime or auto")
    parser.add_argument("--dtype", help="float32 or bfloat16")
    parser.add_argument("--sizes", nargs="+", default=["640x360", "2560x1440"], help="WIDTHxHEIGHT of the image")
    parser.add_argument("--batch", type=int, default=8, help="images of the first size at once; 1: none")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args(arguments)
    if wrong := [size for size in given.sizes if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", size)]:
        sys.exit(f"error: got --sizes {wrong[0]}; expected WIDTHxHEIGHT in pixels, e.g. 640x360")
    if min(given.batch, given.threads, given.repeats) < 1:
        sys.exit("error: expected --batch, --threads and --repeats of 1 or more")
    try:
        table(given)
    except MGAError as error:
        sys.exit(f"error: {error}")


def table(given: argparse.Namespace) -> None:
    """Run each image in turn, and print what it took."""
    mga.keep_freed_memory()
    torch.set_num_threads(given.threads)
    net: nn.Module = load_network(given.network, args=given.network_args, weights=given.weights)
    if given.split_at is not None:
        at = int(given.split_at) if given.split_at.isdigit() else given.split_at
        net = mga.accelerate(net, split_at=at, coarse_tail="light")
    runner = mga.compile(net.eval(), engine=given.engine, dtype=given.dtype, threads=given.threads)
    k = None if given.k is None else parse_k(given.k)
    inputs = {size: image(size, 1) for size in given.sizes}
    if given.batch > 1:
        inputs[f"{given.sizes[0]}, {given.batch} at once"] = image(given.sizes[0], given.batch)
    seconds: dict[str, list[float]] = {name: [] for name in inputs}
    for number in range(given.repeats + 1):
        for name, lr in inputs.items():
            start = time.perf_counter()
            runner(lr, k=k)
            if number:  # the first one warms up
                seconds[name].append(time.perf_counter() - start)
    print("| image | seconds each | a megapixel | over the first |\n|---|---:|---:|---:|")
    first = None
    for name, lr in inputs.items():
        middle = statistics.median(seconds[name])
        each = middle / lr.shape[0]
        pixel = each / (lr.shape[-2] * lr.shape[-1] / 1e6)
        first = pixel if first is None else first
        print(f"| {name} | {each:.3f} | {pixel:.3f} | {pixel / first:.3f} |")


def image(size: str, count: int) -> torch.Tensor:
    """(count, 3, H, W) of noise, as soft as bilinear interpolation makes it."""
    width, height = (int(side) for side in size.split("x"))
    small = torch.rand(count, 3, -(-height // 4), -(-width // 4), generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(small, size=(height, width), mode="bilinear")


if __name__ == "__main__":
    main()
