"""How much of a network's time on a CPU goes to the allocator: seconds with freed memory kept and given back.

Run it by ``python examples/allocator.py NETWORK --weights FILE``; each row in processes of its own, in turn.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

import mga_wrap as mga
from mga_wrap.infer.engine import check_dtype, run
from mga_wrap.networks import load_network

HOWS = ("given back", "kept")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line; measure here, or start a process for each row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", help="as mga-wrap takes it")
    parser.add_argument("--weights", type=Path, help="of a backbone")
    parser.add_argument("--size", default="640x360", help="of the image, WIDTHxHEIGHT")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3, help="processes for each row")
    parser.add_argument("--measure", nargs=2, metavar=("HOW", "DTYPE"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure:
        print(*measure(given, *given.measure))
        return
    print("| dtype | freed memory | seconds | times as fast | MiB at most |\n|---|---|---:|---:|---:|")
    own = list(sys.argv[1:] if arguments is None else arguments)
    for dtype in given.dtypes:
        found: dict[str, list[tuple[float, float]]] = {how: [] for how in HOWS}
        for _ in range(given.rounds):
            for how in HOWS:
                call = [sys.executable, __file__, *own, "--measure", how, dtype]
                said = subprocess.run(call, capture_output=True, text=True, check=True).stdout.split()
                found[how].append((float(said[0]), float(said[1])))
        seconds = {how: statistics.median(one for one, _ in rows) for how, rows in found.items()}
        for how, rows in found.items():
            times = seconds[HOWS[0]] / seconds[how]
            most = statistics.median(two for _, two in rows)
            print(f"| {dtype} | {how} | {seconds[how]:.3f} | {times:.2f} | {most:,.0f} |", flush=True)


def measure(given: argparse.Namespace, how: str, dtype: str) -> tuple[float, float]:
    """(seconds of this process for an image, the most MiB that it ever had)."""
    torch.set_num_threads(given.threads)
    if how == "kept" and not mga.keep_freed_memory():
        sys.exit("error: there is no glibc here, so freed memory cannot be kept")
    width, height = (int(side) for side in given.size.split("x"))
    net = load_network(given.network, weights=given.weights)
    lr = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    seconds = []
    for number in range(given.repeats + 1):
        start = time.process_time() if given.threads == 1 else time.perf_counter()
        run(net, lr, dtype=check_dtype(dtype))
        if number:  # the first one warms up
            seconds.append((time.process_time() if given.threads == 1 else time.perf_counter()) - start)
    return statistics.median(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
