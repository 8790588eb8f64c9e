"""Freed memory kept by the process instead of given back: a CPU spends much of a network's time on asking for it."""

from __future__ import annotations

import ctypes
import platform
import sys

_MMAP_MAX, _TRIM_THRESHOLD, _TOP_PAD = -4, -1, -2
"""Names of options in glibc's malloc.h."""
_NEVER = 2**31 - 1
_PAD = 64 * 2**20
"""Bytes that are asked for beyond what is needed, each time."""


def keep_freed_memory() -> bool:
    """Let glibc keep what this process frees, for whatever it allocates next.

    A network's maps are large blocks. glibc gives each back to the system when it is freed, and the system hands out
    every page of the next one anew, zeroed, at its first touch. On a CPU that is a third to a half of the time of a
    light network (docs/speed.md). Kept, results stay the same bit for bit; the process keeps its highest memory until
    it ends, and that is up to half as much again, since blocks of different sizes do not fit into each other.

    It holds for the whole process, so nothing in this package calls it but the command line. Call it once, before the
    first image.

    Returns:
        Whether it does anything here: not without glibc (macOS, Windows, Alpine), and not where another allocator is
        loaded, such as jemalloc, of which nothing is known.

    Example:
        >>> import mga_wrap as mga
        >>> mga.keep_freed_memory() in (True, False)
        True
    """
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # a process that is linked statically, a libc that has none
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    options = {_MMAP_MAX: 0, _TRIM_THRESHOLD: _NEVER, _TOP_PAD: _PAD}
    taken = [mallopt(option, value) == 1 for option, value in options.items()]  # every one is asked for
    return all(taken)
