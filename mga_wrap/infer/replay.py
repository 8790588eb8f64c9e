"""CUDA graphs: what a GPU does sooner than it is told to is recorded once, and then told in one go."""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mga_wrap.errors import one_line

Results = tuple[Tensor, ...]
Forward = Callable[[Tensor], Results]
KEPT = 2
"""Recordings kept, those used last: they hold the memory of all maps of the largest forward."""
SEEN = 64
"""Sizes remembered as having come once."""
WARMUP = 2
"""Runs before a recording, which load kernels and choose algorithms: neither can be recorded."""
TOLERANCE = {torch.float32: 1e-3}
"""Mean difference of a replay to the forward, over the mean of what the forward returns, by dtype of the arithmetic."""
TOLERANCE_BELOW = 5e-2
"""The same for float16 and bfloat16."""


@dataclass(frozen=True)
class Recording:
    """A forward at one size, as it was recorded."""

    lr: Tensor
    """Where its input lies."""
    results: Results
    """Where its results lie; the next replay writes over them, also one of a recording in the same memory."""
    replay: Callable[[], None]
    memory: Any = None
    """Where its maps lie."""


def record_on_cuda(forward: Forward, lr: Tensor, beside: Recording | None = None) -> Recording:
    """Record a forward on an image's device, in inference mode.

    Args:
        forward: launches the same for every image of a size.
        lr: (B, 3, H, W).
        beside: a recording that it shares the memory of its maps with, for they are never replayed at once.

    Raises:
        RuntimeError: it waits for the device, copies from the processor, or there is no memory for it.

    Source: "CUDA graphs" of torch's notes on CUDA semantics: warm-up on a stream beside, then the capture.
    """
    still = lr.clone()
    with torch.cuda.device(lr.device):
        warm = torch.cuda.Stream()
        warm.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(warm):
            for _ in range(WARMUP):
                forward(still)
        torch.cuda.current_stream().wait_stream(warm)
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile; what they do is none of this recording's business.
        memory = torch.cuda.graph_pool_handle() if beside is None else beside.memory
        with torch.cuda.graph(graph, pool=memory, capture_error_mode="thread_local"):
            results = forward(still)
    return Recording(still, results, graph.replay, memory)


RECORDERS: dict[str, Callable[[Forward, Tensor, Recording | None], Recording]] = {"cuda": record_on_cuda}
"""What records on which kind of device."""


def record(forward: Forward, lr: Tensor, dtype: torch.dtype, beside: Recording | None = None) -> Recording:
    """Record a forward on an image of a device that is one of `RECORDERS`, its layers computing in a dtype.

    Args:
        forward: as `record_on_cuda` takes it.
        lr: as `record_on_cuda` takes it.
        dtype: of the layers; below that of the image by torch's autocast.
        beside: as `record_on_cuda` takes it.

    Raises:
        RuntimeError: as `record_on_cuda`.
    """
    # Casts that autocast keeps until its context ends would be read by a recording that outlives them.
    uncached = partial(torch.autocast, lr.device.type, dtype, cache_enabled=False)
    with nullcontext() if dtype == lr.dtype else uncached():
        return RECORDERS[lr.device.type](forward, lr, beside)


def replayed(recording: Recording, lr: Tensor) -> Results:
    """What the recorded forward returns for another image of the same size."""
    recording.lr.copy_(lr)
    recording.replay()
    return tuple(x.clone() for x in recording.results)


class Replayer:
    """Runs the forwards of one network; where a size comes again, and on a GPU, a recording of it.

    A recording reads the weights where they lie, so that it follows what is written into them; weights that lie
    elsewhere are another key. It is held against the forward before it is used; one that cannot be made, or that
    returns something else, is told once, and the network runs as before. Threads take turns.

    Args:
        net: the network, in eval mode when it is run.
    """

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._recordings: OrderedDict[Hashable, Recording] = OrderedDict()
        self._refused: set[Hashable] = set()
        self._lock = threading.Lock()

    def __call__(self, forward: Forward, lr: Tensor, *, of: Hashable) -> Results:
        """What a forward returns.

        Args:
            forward: a forward of this network, of one argument; what it launches must not depend on values.
            lr: (B, 3, H, W), as the network takes it.
            of: stands for the forward: two of the same ``of`` do the same.
        """
        device = lr.device.type
        if device not in RECORDERS:
            return forward(lr)
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else lr.dtype
        where = tuple(x.data_ptr() for x in (*self.net.parameters(), *self.net.buffers()))
        key = (of, lr.device, lr.dtype, tuple(lr.shape), lr.stride(), dtype, where)
        with self._lock:
            if key in self._recordings:
                self._recordings.move_to_end(key)
                return replayed(self._recordings[key], lr)
            results = forward(lr)
            if key not in self._seen:
                self._seen[key] = None
                while len(self._seen) > SEEN:
                    self._seen.popitem(last=False)
            elif key not in self._refused:
                self._record(key, forward, lr, results, dtype)
            return results

    def _record(self, key: Hashable, forward: Forward, lr: Tensor, expected: Results, dtype: torch.dtype) -> None:
        """Keep a recording, or say why there is none."""
        if not all(bool(x.isfinite().all()) for x in expected):
            return  # the dtype is too small for this image: it is run again in another, and told
        while len(self._recordings) >= KEPT:  # before the next one asks for memory
            self._recordings.popitem(last=False)
        try:
            recording = record(forward, lr, dtype, next(iter(self._recordings.values()), None))
            found = replayed(recording, lr)
        except RuntimeError as error:
            self._refuse(key, f"cannot be recorded as a CUDA graph ({one_line(error)})")
            return
        limit = TOLERANCE.get(dtype, TOLERANCE_BELOW)
        if all(_alike(one, other, limit) for one, other in zip(found, expected, strict=True)):
            self._recordings[key] = recording
        else:
            self._refuse(key, "returns something else when it is replayed as a CUDA graph")

    def _refuse(self, key: Hashable, reason: str) -> None:
        self._refused.add(key)
        warnings.warn(
            f"{type(self.net).__name__} {reason}; at this size it runs without, which is slower where its layers are "
            "small",
            RuntimeWarning,
            stacklevel=2,
        )


def _alike(found: Tensor, expected: Tensor, limit: float) -> bool:
    if not expected.is_floating_point():  # which patches were chosen; among near scores there may be others
        return found.shape == expected.shape
    difference = (found.float() - expected.float()).abs().mean()
    return bool(difference <= limit * expected.float().abs().mean())
