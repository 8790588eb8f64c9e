"""One training a folder: a lock that the system takes back when its process dies."""

from __future__ import annotations

import errno
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from mga_wrap.errors import CheckpointError

LOCK = "training.lock"
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_held: set[Path] = set()
"""Folders of this process: to the system a process never stands in its own way."""


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder for one training; it is made if it is not there, and taken away again if nothing was put into it.

    Raises:
        CheckpointError: another training holds it, or it cannot be written.
    """
    path, here, made = folder / LOCK, folder.resolve(), not folder.exists()
    if here in _held:
        raise _taken(folder, f"in this process, {os.getpid()}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _locked(path)
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written ({error}); choose another output_dir") from error
    _held.add(here)
    try:
        yield
    finally:
        _held.discard(here)
        with suppress(OSError):  # Windows removes no open file: there an empty one stays
            path.unlink()
        file.close()
        if made:
            with suppress(OSError):  # something is in it: the rule
                folder.rmdir()


def _locked(path: Path) -> TextIO:
    """The lock's file, open and locked, with its holder's name in it."""
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            _lock(file)
            if _is_at(path, file):
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}")
                file.flush()
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_at(path: Path, file: TextIO) -> bool:
    """False if its last holder removed the file between the opening and the locking: then it locks nobody out."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _lock(file: TextIO) -> None:
    """Lock it at once or not at all. POSIX locks: those of flock would live on in the workers that draw crops."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        path = Path(file.name)
        if error.errno in _TAKEN:
            file.seek(0)
            raise _taken(path.parent, file.read(200) or "just begun") from error
        warnings.warn(
            f"{path.parent} lies on a disk without locks ({error}); start no second training in it", stacklevel=2
        )


def _taken(folder: Path, holder: str) -> CheckpointError:
    return CheckpointError(
        f"{folder} belongs to another training that is running ({holder}); wait until it has ended, or choose another "
        "output_dir"
    )
