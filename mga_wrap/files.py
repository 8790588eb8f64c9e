"""Files that are whole or not there."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to, which takes its name when everything in it is written.

    Missing folders are made. If anything fails the temporary file is removed, and an older file of that name stays.

    Raises:
        OSError: whatever the file system says.
    """
    part = path.parent / f".mga-{secrets.token_hex(8)}.part"  # the same folder: a rename must not cross disks
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
