"""Graphs in the user's cache folder, so that a network is written and held against its graph once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn

from mga_wrap.config import ENGINES
from mga_wrap.files import whole_file
from mga_wrap.nets.mga import MGANet
from mga_wrap.processor import machine
from mga_wrap.version import __version__

VARIABLE = "MGA_WRAP_CACHE"
MOST = 2 * 2**30
"""Bytes of graphs that are kept; beyond it those that were not used for the longest time go."""
ONNX, IR = ".onnx", ".ir"
"""Endings of graphs that are kept: of onnx, and of OpenVINO's own form."""
MOST_CHECKED = 100
"""Checks of a part that are remembered."""


def cache_folder() -> Path:
    """Where this package keeps what it can make again: $MGA_WRAP_CACHE, else a folder in the user's cache."""
    if own := os.environ.get(VARIABLE):
        return Path(own)
    system = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return Path(system or Path.home() / ".cache") / "mga_wrap"


def stored(key: str, make: Callable[[], bytes], *, ending: str = ONNX) -> bytes:
    """What is kept under a key, else what `make` returns, kept from now on.

    A folder that cannot be read or written is gone without, and two processes may fill one: files are whole or not
    there. Who reads a graph holds what it computes against the network, unless that was done to these very bytes
    before, so an old or broken one does no harm.
    """
    path = cache_folder() / f"{key}{ending}"
    with suppress(OSError):
        found = path.read_bytes()
        with suppress(OSError):  # of a folder that can be read alone
            os.utime(path)
        return found
    made = make()
    with suppress(OSError), whole_file(path) as part:
        part.write_bytes(made)
    _tidy()
    return made


def _tidy() -> None:
    """Delete graphs until `MOST` is left; one that cannot be deleted stays."""
    graphs: list[tuple[float, int, Path]] = []
    with suppress(OSError):
        for path in [path for path in cache_folder().iterdir() if path.suffix in (ONNX, IR)]:
            with suppress(OSError):  # another process has deleted it
                about = path.stat()
                graphs.append((about.st_mtime, about.st_size, path))
    left = sum(size for _, size, _ in graphs)
    for _, size, path in sorted(graphs)[:-1]:
        if left <= MOST:
            return
        with suppress(OSError):
            path.unlink()
            left -= size


def forget(key: str) -> None:
    """Keep nothing under a key any more."""
    for ending in (ONNX, IR):
        with suppress(OSError):
            (cache_folder() / f"{key}{ending}").unlink(missing_ok=True)


@dataclass
class Checked:
    """How a part of a network came into an engine on this machine, and what was seen to be right: a small file."""

    way: str = ""
    """How its graph is made; empty: not known yet."""
    sizes: list[tuple[str, str]] = field(default_factory=list)
    """Digest of a graph, and the shapes of its inputs."""

    @classmethod
    def recall(cls, key: str, *, engine: str) -> Checked:
        """What was kept, by these versions and this processor; nothing, if there is none or it is broken."""
        try:
            said = json.loads(_checks(key, engine).read_text(encoding="utf-8"))
            way, sizes = said["way"], [(graph, shapes) for graph, shapes in said["sizes"]]
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return cls()
        if not all(isinstance(text, str) for text in (way, *(text for one in sizes for text in one))):
            return cls()
        return cls(way, sizes)

    def keep(self, key: str, *, engine: str) -> None:
        """Remember it; a folder that cannot be written is gone without."""
        self.sizes = self.sizes[-MOST_CHECKED:]
        path = _checks(key, engine)
        with suppress(OSError), whole_file(path) as part:
            part.write_text(f"{json.dumps(asdict(self))}\n", encoding="utf-8")


def _checks(key: str, engine: str) -> Path:
    about = hashlib.sha256(f"{key} {engine} {versions()} {machine()}".encode()).hexdigest()
    return cache_folder() / f"checked-{about}.json"


def versions() -> str:
    """Of this package, torch and the engines that are installed: another one may be faster, or right no more."""
    found = [f"mga_wrap {__version__}", f"torch {torch.__version__}"]
    for name in ENGINES:
        with suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return ", ".join(found)


def digest_of(net: nn.Module) -> str:
    """Tells a network from any other: its layers, every value of its weights, its cut, the versions.

    How much is refined belongs to a call, and is in no graph.
    """
    layers = repr(net)
    if isinstance(net, MGANet):
        cut = {name: value for name, value in net.config.as_json().items() if name not in ("k", "max_loss")}
        layers = repr((dict(net.named_children()), cut, net.geometry))
    digest = hashlib.sha256(f"{__version__} {torch.__version__} {type(net).__module__} {layers}".encode())
    for name, value in sorted(net.state_dict().items()):
        if isinstance(value, Tensor):
            digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
            digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
