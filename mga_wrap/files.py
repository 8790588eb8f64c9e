"""Files that are whole or not there."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PART = re.compile(r"\.mga-(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{16}\.part")
_DAY = 24 * 60 * 60  # seconds


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to, which takes its name when everything in it is written.

    Missing folders are made. If anything fails the temporary file is removed, and an older file of that name stays.
    A symbolic link stays one: what it leads to is written. What runs that were killed left in the folder is removed.

    Raises:
        OSError: whatever the file system says; a device, pipe or socket is not written to.
    """
    target = _target(path)
    part = target.parent / _part_name()  # the same folder: a rename must not cross disks
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        yield part
        part.replace(target)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _target(path: Path) -> Path:
    """Where the links end that `path` may be."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, "it is a symbolic link that leads back to itself", str(path))
    if target.exists() and not (target.is_file() or target.is_dir()):  # a folder refuses on its own
        raise OSError(errno.EINVAL, "a device, pipe or socket of that name stands there", str(path))
    return target


# ------------------------------------------------------------------------------------------- what killed runs left over
def _part_name() -> str:
    return f".mga-{_machine()}-{os.getpid()}-{secrets.token_hex(8)}.part"


@functools.cache
def _machine() -> str:
    """Where a process id means something: this computer, or this container on it."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        space = ""
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]


@functools.lru_cache(maxsize=256)  # once for each folder: listing a large one for every file in it would be slow
def _sweep(folder: Path) -> None:
    with suppress(OSError):  # cleaning up is a favour: it must not keep the caller from writing
        for file in folder.iterdir():
            if (found := _PART.fullmatch(file.name)) and _is_left_over(file, found["machine"], int(found["pid"])):
                file.unlink(missing_ok=True)


def _is_left_over(file: Path, machine: str, pid: int) -> bool:
    """Whether the process that wrote it is dead; on a shared disk, of another machine's: untouched for a day."""
    if machine == _machine() and os.name == "posix":  # on Windows the question itself would stop the process
        return not _is_alive(pid)
    return file.stat().st_mtime < time.time() - _DAY


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True
