"""Results that survive a kill: a line of JSON a picture, read again when the same is asked for."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mga_wrap.errors import ImageError, one_line
from mga_wrap.files import whole_file
from mga_wrap.nets.mga import MGANet

Record = dict[str, Any]


class Partial:
    """A file beside the output, with what is done so far.

    Args:
        output: what will be written in the end; None keeps nothing.
        identity: says what was asked for, see `identity_of`. A file of another identity is begun anew.

    Raises:
        ImageError: the file cannot be written.
    """

    def __init__(self, output: Path | None, *, identity: str) -> None:
        self.path = None if output is None else output.with_name(f"{output.name}.partial.jsonl")
        self._done: dict[str, list[Record]] = {}
        if self.path is None:
            return
        lines = _lines(self.path)
        if lines and lines[0] == {"identity": identity}:
            self._done = {line["picture"]: line["rows"] for line in lines[1:]}
        _begin(self.path, [{"identity": identity}, *(_line(*item) for item in self._done.items())])

    def __len__(self) -> int:
        """Pictures that are done."""
        return len(self._done)

    def get(self, picture: str) -> list[Record] | None:
        """The rows of a picture that is done."""
        return self._done.get(picture)

    def add(self, picture: str, rows: list[Record]) -> None:
        """Keep the rows of a picture; on the disk when this returns."""
        self._done[picture] = rows
        if self.path is not None:
            _append(self.path, _line(picture, rows))

    def finish(self) -> None:
        """Remove the file: the output holds it all."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def identity_of(net: nn.Module, **arguments: object) -> str:
    """A hash of the weights and of everything that decides what comes out, this package's version too."""
    from mga_wrap.version import __version__

    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    cut = (net.geometry, net.config, net.backbone) if isinstance(net, MGANet) else repr(net)
    digest.update(repr((__version__, cut, sorted(arguments.items()))).encode())
    return digest.hexdigest()


def _line(picture: str, rows: list[Record]) -> Record:
    return {"picture": picture, "rows": rows}


def _lines(path: Path) -> list[Any]:
    """The lines that are whole; a kill may have cut the last one."""
    if not path.is_file():
        return []
    found: list[Any] = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found.append(json.loads(text))
        except ValueError:
            break
    return found


def _begin(path: Path, records: list[Any]) -> None:
    """Write the file anew; a kill meanwhile leaves the old one."""
    with _named_write_errors(path), whole_file(path) as part:
        part.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def _append(path: Path, record: Any) -> None:
    with _named_write_errors(path), path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(record) + "\n")
        handle.flush()
        os.fsync(handle.fileno())


@contextmanager
def _named_write_errors(path: Path) -> Iterator[None]:
    """An error of the system becomes ours, with the path and what to do."""
    try:
        yield
    except OSError as error:
        what = error.strerror or one_line(error)
        raise ImageError(f"cannot write {path}: {what}; choose another folder for the output") from error
