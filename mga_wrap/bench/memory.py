"""The memory that a network needs for an image, at its highest."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mga_wrap.errors import MGAError, one_line
from mga_wrap.infer.engine import Format, evaluating

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(net: nn.Module, lr: Tensor, *, run_format: Format, options: dict[str, Any] | None = None) -> int | None:
    """Measure what a network takes for an image beyond its weights and the libraries, in bytes.

    On CUDA this is torch's own count. On the CPU the network is run once in a fresh process, whose resident memory
    the kernel watches: what this process has allocated before plays no part.

    Args:
        net: the network; on the CPU it has to be one that can be pickled.
        lr: (B, 3, H, W), on the network's device.
        run_format: how it runs.
        options: keyword arguments of its forward.

    Returns:
        Bytes; None on systems without /proc (other than Linux), and on devices other than CPU and CUDA.

    Raises:
        MGAError: the network cannot be handed to another process, or failed there.
    """
    options = options or {}
    if lr.device.type == "cuda":
        return _on_cuda(net, lr, run_format, options)
    if lr.device.type != "cpu" or not (_STATUS.exists() and _CLEAR.exists()):
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.pt"
        try:
            torch.save((net, lr, run_format, options, torch.get_num_threads()), path)
        except (pickle.PicklingError, AttributeError, TypeError, RuntimeError) as error:
            raise MGAError(f"{type(net).__name__} cannot be handed to another process ({one_line(error)})") from error
        return _in_another_process(path)


def _on_cuda(net: nn.Module, lr: Tensor, run_format: Format, options: dict[str, Any]) -> int:
    held = torch.cuda.memory_allocated(lr.device)
    torch.cuda.reset_peak_memory_stats(lr.device)
    _run(net, lr, run_format, options)
    return torch.cuda.max_memory_allocated(lr.device) - held


def _in_another_process(job: Path) -> int:
    command = [sys.executable, "-c", f"from {__name__} import run_job; run_job({str(job)!r})"]
    paths = os.pathsep.join(path for path in sys.path if path)  # what can be imported here can be imported there
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise MGAError(f"the memory could not be measured in another process: {reason}")
    return int(done.stdout)


def run_job(job: str) -> None:
    """What the other process does: load, let the libraries load, forget the highest so far, run, print bytes."""
    net, lr, run_format, options, threads = torch.load(job, weights_only=False)  # written a moment ago by `peak_memory`
    torch.set_num_threads(threads)
    small = nn.Conv2d(3, 16, 3)
    _run(small, torch.rand(1, 3, 16, 16), run_format, {})
    _CLEAR.write_text("5")  # VmHWM starts again; getrusage's figure would begin with that of the parent process
    held = _status("VmRSS")
    _run(net, lr, run_format, options)
    print(_status("VmHWM") - held)


def _run(net: nn.Module, lr: Tensor, run_format: Format, options: dict[str, Any]) -> None:
    with evaluating(net), run_format.autocast(lr):
        net(run_format.lay(lr), **options)


def _status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
