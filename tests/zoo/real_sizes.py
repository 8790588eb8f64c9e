"""Networks at their published sizes: python tests/zoo/real_sizes.py RCAN prints parameters, seconds, peak GiB."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from zoo_networks import Make, of

import mga_wrap as mga

SIX = [6] * 6
SWIN = {
    "upscale": 4,
    "embed_dim": 180,
    "depths": SIX,
    "num_heads": SIX,
    "mlp_ratio": 2,
    "upsampler": "pixelshuffle",
}
REAL: dict[str, Make] = {
    "RCAN": of("RCAN.__arch.rcan_arch:RCAN", scale=4),
    "RRDBNet": of("ESRGAN.__arch.RRDB:RRDBNet", scale=4),
    "SwinIR": of("SwinIR.__arch.SwinIR:SwinIR", **SWIN, window_size=8),
    "HAT": of("HAT.__arch.HAT:HAT", **SWIN, window_size=16),
}


def measure(name: str) -> tuple[int, float, float]:
    """Parameters, CPU seconds of `accelerate` and the peak of this process in GiB, the network itself included."""
    model = REAL[name]().eval()
    start = time.process_time()
    mga.accelerate(model)
    seconds = time.process_time() - start
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return parameters, seconds, peak() / 2**30


def peak() -> int:
    """Bytes that this process has had at the highest."""
    try:  # getrusage's figure begins with that of the parent process, which may be large
        line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(*measure(sys.argv[1]))
