"""Which engine was the fastest for a network on this machine: a small file for each answer in the cache folder."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mga_wrap.engines.sessions import installed_engines
from mga_wrap.engines.stored import cache_folder
from mga_wrap.errors import ArgumentError
from mga_wrap.files import whole_file
from mga_wrap.infer.engine import DType, check_dtype

Engine = Literal["auto", "torch", "openvino", "onnxruntime"]


@dataclass(frozen=True)
class Choice:
    """An engine and the dtype that it computes in."""

    engine: Engine
    dtype: DType | None
    """None: that of the weights."""

    def __str__(self) -> str:
        return f"{self.engine} {self.dtype or 'as the weights'}"


def recall(key: str) -> Choice | None:
    """What was kept under a key; None if there is nothing, or nothing that can be used here."""
    try:
        said = json.loads(_file(key).read_text(encoding="utf-8"))
        if said["engine"] in ("torch", *installed_engines()):
            return Choice(said["engine"], check_dtype(said["dtype"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError, ArgumentError):
        return None  # none yet, or broken: it is found again
    return None


def keep(key: str, choice: Choice, seconds: dict[str, float]) -> None:
    """Remember a choice, with what each candidate took; a folder that cannot be written is gone without.

    A file for each, so that no process loses what another has found.
    """
    text = json.dumps({"engine": choice.engine, "dtype": choice.dtype, "seconds": seconds}, indent=1)
    with suppress(OSError), whole_file(_file(key)) as part:
        part.write_text(f"{text}\n", encoding="utf-8")


def _file(key: str) -> Path:
    return cache_folder() / f"engine-{key}.json"
