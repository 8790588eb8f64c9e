"""Measure an accelerated network against the original: what each share of refined patches loses, and how fast it is.

python examples/front.py pan --weights PANx4_DF2K.pth --trained runs/pan/last --data Set14 --csv front.csv

The network is named as in `finetune.py`, whose output folder is --trained. For each patch side, halo and share: PSNR-Y
against HR, how much that is below the original's; PSNR against the original's own output, and how sharp it is beside
that; and the original's seconds over the accelerated network's, both in the same memory format and dtype, on one image
of --size.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from finetune import add_network, network_of
from rich.console import Console
from rich.table import Table
from torch import nn

import mga_wrap as mga
from mga_wrap.bench import bench
from mga_wrap.files import whole_file
from mga_wrap.infer import enlarge
from mga_wrap.infer.engine import DType
from mga_wrap.making import accelerate_as
from mga_wrap.pictures import psnr
from mga_wrap.pictures.pairs import Pair, as_bytes, find_pairs, read_pair
from mga_wrap.train import losses


@dataclass(frozen=True)
class Point:
    """One line of the table."""

    data: str
    p: int
    halo: int
    share: float
    """Refined patches over all; 0 is the coarse image."""
    psnr_y: float
    """dB, against HR."""
    loss: float
    """dB below the original, which computes in float32."""
    fidelity: float
    """PSNR-RGB against the original's output, dB."""
    sharpness: float
    """Mean local root mean square gradient of luma over that of the original's output; 1 is as sharp."""
    speedup: float
    """The original's seconds over the accelerated network's."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_network(parser)
    parser.add_argument("--trained", type=Path, required=True, help="folder of the accelerated network")
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of HR images")
    parser.add_argument("--images", type=int, help="of each folder only the first so many")
    parser.add_argument("--share", type=float, nargs="+", default=[0.1, 0.2, 0.3], help="of the patches")
    parser.add_argument("--p", type=int, nargs="+", default=[16], help="patch sides")
    parser.add_argument("--halo", type=int, nargs="+", default=[2], help="rings around each patch")
    parser.add_argument("--size", default="640x360", help="of the image that is timed")
    parser.add_argument("--dtype", default="float32", help="of the accelerated network: float32 or bfloat16")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of the timing")
    parser.add_argument("--csv", type=Path, help="also write the table to this file")
    given = parser.parse_args(arguments)
    try:
        points = list(measure(given))
    except mga.MGAError as error:
        sys.exit(f"error: {error}")
    show(points)
    if given.csv is not None:
        write(points, given.csv)


def measure(given: argparse.Namespace) -> Iterator[Point]:
    """A point for each folder, patch side, halo and share."""
    model = network_of(given)
    trained = mga.from_pretrained(given.trained, model=model)
    shares = sorted({0.0, *given.share})
    width, height = (int(side) for side in given.size.split("x"))
    for p in given.p:
        for halo in given.halo:
            net = in_patches(trained, model, p=p, halo=halo)
            timed = bench(
                net,
                model,
                size=(width, height),
                shares=shares[1:],
                dtype=given.dtype,
                threads=1,
                clock="processor",
                repeats=given.repeats,
                engines=False,
                memory=False,
            )
            # The coarse image alone, then a row a share; the first two are the original's.
            speedups = [1 / row.over_best_format for row in timed.rows[2:]]
            for folder in given.data:
                pairs = find_pairs(folder, scale=net.scale)[: given.images]
                found = compare(net, model, pairs, shares, given.dtype)
                for share, speedup, figures in zip(shares, speedups, found, strict=True):
                    yield Point(folder.name, p, halo, share, *figures, round(speedup, 2))


def in_patches(net: mga.MGANet, model: nn.Module, *, p: int, halo: int) -> mga.MGANet:
    """The network with patches of another side or halo: the same weights, which take windows of any side."""
    other = accelerate_as(model, replace(net.config, p=p, halo=halo))
    other.load_state_dict(net.state_dict())
    return other


def compare(
    net: mga.MGANet, model: nn.Module, pairs: Sequence[Pair], shares: Sequence[float], dtype: DType
) -> list[tuple[float, float, float, float]]:
    """For each share, means over the images: PSNR-Y, how much that is below the original, fidelity (dB); sharpness.

    The original computes in its own dtype, so that what the faster one costs is counted as a loss.
    """
    scale = net.scale
    rows = []
    for pair in pairs:
        picture, hr = read_pair(pair, scale=scale, crop=4 * scale)
        original = as_bytes(enlarge(model, picture).rgb)
        best, sharp = psnr(original, hr, border=scale), sharpness(original)
        for share in shares:
            sr = as_bytes(enlarge(net, picture, k=share, dtype=dtype).rgb)
            # Equal pictures have no PSNR that a mean could take.
            fidelity = min(psnr(sr, original, border=scale, channels="rgb"), 99.0)
            rows.append((psnr(sr, hr, border=scale), best, fidelity, sharpness(sr) / sharp))
    means = np.array(rows).reshape(-1, len(shares), 4).mean(axis=0)
    return [
        (round(mine, 3), round(best - mine, 3), round(fidelity, 2), round(ratio, 3))
        for mine, best, fidelity, ratio in means.tolist()
    ]


def sharpness(picture: np.ndarray) -> float:
    """The mean local root mean square gradient of luma of (H, W, 3) bytes, see `losses.sharpness`."""
    rgb = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    return float(losses.sharpness(rgb).mean())


def show(points: Sequence[Point]) -> None:
    """Print the table."""
    table = Table()
    for field in fields(Point):
        table.add_column(field.name, justify="left" if field.name == "data" else "right")
    for point in points:
        table.add_row(*map(str, astuple(point)))
    Console().print(table)


def write(points: Sequence[Point], path: Path) -> None:
    """Write the table as CSV, whole or not at all."""
    with whole_file(path) as part, part.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(field.name for field in fields(Point))
        writer.writerows(map(astuple, points))


if __name__ == "__main__":
    main()
