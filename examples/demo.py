"""Enlarge a photograph with the network in the package, and show where it was refined and what that costs.

Run it by ``make demo`` or ``python examples/demo.py``; it writes three pictures into demo-output/.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import mga_wrap as mga
from mga_wrap.figures.cropping import neediest_crop
from mga_wrap.figures.overlays import trace_overlay
from mga_wrap.figures.panels import side_by_side
from mga_wrap.infer import explain
from mga_wrap.infer.networks import embedded
from mga_wrap.nets.mga import Amount, MGATrace
from mga_wrap.pictures import Picture, read_image, resize_bicubic, write_image

HERE = Path(__file__).resolve().parent
CROP = (160, 240)  # height and width of the part that is shown enlarged, pixels
REPEATS = 7
AMPLIFIED = 8
"""Times what refining changed is shown: a few levels of 255, which the eye finds only side by side."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, load the network and run the demonstration."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, default=HERE / "chelsea.png", help="the photograph to enlarge")
    parser.add_argument("--out", type=Path, default=HERE.parent / "demo-output", help="folder for the results")
    parser.add_argument("--k", type=float, help="share of the patches to refine, 0 to 1 (the network's own by default)")
    given = parser.parse_args(arguments)
    try:
        demonstrate(mga.from_pretrained(embedded(3)), image=given.image, out=given.out, k=given.k)
    except mga.MGAError as error:
        sys.exit(f"error: {error}")


def demonstrate(net: mga.MGANet, *, image: Path, out: Path, k: Amount | None = None) -> None:
    """Enlarge one photograph, write the three pictures and print the figures."""
    k = net.k if k is None else k
    picture = read_image(image)
    enlarged, trace = explain(net, picture, k=k)
    for name, result in {
        "": enlarged,
        "_mask": as_picture(trace_overlay(trace, net=net)),
        "_side_by_side": as_picture(compare(picture, trace, net=net)),
    }.items():
        path = out / f"{image.stem}_x{net.scale}{name}.png"
        write_image(result, path=path)
        print(f"written: {path}")
    (width, height), (wide, tall) = picture.size, enlarged.size
    print(f"{image.name}: {width} x {height} -> {wide} x {tall}, {trace.share:.1%} of the patches refined")
    Console().print(costs(net, trace.lr, k=k))


def compare(picture: Picture, trace: MGATrace, *, net: mga.MGANet) -> np.ndarray:
    """Bicubic, coarse, refined and what refining changed; below, the part whose patches need refinement most."""
    coarse, refined = as_array(trace.coarse), as_array(trace.sr)
    pictures = {
        "bicubic": np.clip(resize_bicubic(picture.rgb, net.scale), 0, 1),
        "coarse (Base-Net)": coarse,
        f"refined ({trace.share:.0%} of the patches)": refined,
        f"their difference x {AMPLIFIED}": np.clip(0.5 + AMPLIFIED * (refined - coarse), 0, 1),
    }
    crop = neediest_crop(trace.score[0].cpu().numpy(), side=net.p * net.scale, size=trace.sr.shape[-2:], crop=CROP)
    return side_by_side(pictures, crop=crop)


def costs(net: mga.MGANet, lr: torch.Tensor, *, k: Amount) -> Table:
    """MACs and seconds of the whole network at three k, in torch and in the engine that is fastest here.

    All are measured in turn, so that a busy moment hits each alike.
    """
    amounts: dict[str, Amount] = {"coarse only (k=0)": 0, f"refined (k={k})": k, "every patch (k=all)": "all"}
    fastest = mga.compile(net).choice_for(lr, k=k)
    runners = {
        "torch": mga.compile(net, engine="torch"),
        "fastest": mga.compile(net, engine=fastest.engine, dtype=fastest.dtype),
    }
    seconds: dict[tuple[str, str], list[float]] = {(name, engine): [] for name in amounts for engine in runners}
    for repeat in range(REPEATS + 1):
        for (name, engine), taken in seconds.items():
            start = time.perf_counter()
            runners[engine](lr, k=amounts[name])
            if repeat:  # the first one warms up
                taken.append(time.perf_counter() - start)
    table = Table(title=f"cost on the {lr.device.type}, {torch.get_num_threads()} thread(s), medians of {REPEATS}")
    for title in ("", "million MACs", "seconds in torch", f"in {fastest}"):
        table.add_column(title, justify="right" if title else "left")
    for name, amount in amounts.items():
        macs = net.macs(*lr.shape[-2:], k=amount)["total"]
        cells = [f"{statistics.median(seconds[name, engine]):.3f}" for engine in runners]
        table.add_row(name, f"{macs / 1e6:,.0f}", *cells)
    return table


def as_array(image: torch.Tensor) -> np.ndarray:
    """(1, 3, H, W) to (H, W, 3) in 0..1."""
    array: np.ndarray = image[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy()
    return array


def as_picture(array: np.ndarray) -> Picture:
    """(H, W, 3) uint8 to a picture that can be written."""
    return Picture(array.astype(np.float32) / 255)


if __name__ == "__main__":
    main()
