"""Rows with freed memory kept: the same calls in a process beside this one, which `keep_freed_memory` has prepared."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from mga_wrap.bench.entries import Entry
from mga_wrap.bench.timing import Call, Clock
from mga_wrap.errors import MGAError, one_line
from mga_wrap.infer.engine import evaluating
from mga_wrap.memory import keep_freed_memory

KEPT = ", memory kept"
"""What such a row's name ends with."""
_NO = "no glibc"


@contextmanager
def kept_entries(entries: Sequence[Entry], lr: Tensor, clock: Clock) -> Iterator[tuple[list[Entry], list[str]]]:
    """The same entries with freed memory kept, and notes on why there are none.

    It holds for a whole process, so they run in one of their own, round by round with the others, which must not have
    it. That process counts its own seconds.

    Args:
        entries: of networks in torch.
        lr: (B, 3, H, W), on the CPU.
        clock: of their seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "calls.pt"
        calls = [(entry.net, entry.format, entry.options) for entry in entries]
        try:
            torch.save((calls, lr, clock, torch.get_num_threads()), path)
        except (pickle.PicklingError, AttributeError, TypeError, RuntimeError) as error:
            yield [], [f"no rows with freed memory kept: they cannot be handed to another process ({one_line(error)})"]
            return
        command = [sys.executable, "-c", f"from {__name__} import serve; serve({str(path)!r})"]
        paths = os.pathsep.join(one for one in sys.path if one)  # what can be imported here can be imported there
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        with child:
            try:
                assert child.stdout is not None
                ready = child.stdout.readline().strip()
                if ready == _NO:
                    yield [], []
                elif ready != "ready":
                    yield [], ["no rows with freed memory kept: the other process failed"]
                else:
                    yield [_kept(entry, number, child) for number, entry in enumerate(entries)], []
            finally:
                child.kill()


def _kept(entry: Entry, number: int, child: subprocess.Popen[str]) -> Entry:
    call = Call(entry.call.run, seconds=partial(_asked, child, number))
    return replace(entry, name=f"{entry.name}{KEPT}", call=call, net=None)


def _asked(child: subprocess.Popen[str], number: int) -> float:
    """Let the other process make one call.

    Raises:
        MGAError: it has ended.
    """
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(f"{number}\n")
        child.stdin.flush()
        return float(child.stdout.readline())
    except (OSError, ValueError) as error:
        raise MGAError("the process that keeps its memory has ended, for want of memory perhaps") from error


def serve(path: str) -> None:
    """What the other process does: for each number that it reads, it makes that call and prints the seconds."""
    if not keep_freed_memory():
        print(_NO, flush=True)
        return
    calls, lr, clock, threads = torch.load(path, weights_only=False)  # written a moment ago by `kept_entries`
    torch.set_num_threads(threads)
    now = time.process_time if clock == "processor" else time.perf_counter
    print("ready", flush=True)
    for line in sys.stdin:
        net, run_format, options = calls[int(line)]
        with evaluating(net):
            start = now()
            with run_format.autocast(lr):
                net(run_format.lay(lr), **options)
            print(now() - start, flush=True)
