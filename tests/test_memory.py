"""Freed memory is kept where glibc is, and nothing is claimed where it is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mga_wrap as mga
from mga_wrap import memory

FAULTS = """
import resource, sys
import torch
import mga_wrap as mga

if sys.argv[1] == "kept":
    assert mga.keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for number in range(16):
    if number == 6:  # by then there is room for everything
        before = faults()
    torch.zeros(12_000_000).add(1)  # above 32 MiB, which glibc always asks the system for
print(faults() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(memory.platform.libc_ver()[0] != "glibc", reason="there is no glibc")
def test_pages_are_not_asked_for_again() -> None:
    def faults(how: str) -> int:
        call = [sys.executable, "-c", FAULTS, how]
        return int(subprocess.run(call, capture_output=True, text=True, check=True).stdout)

    assert faults("kept") < faults("given back") / 4


@pytest.mark.parametrize(("system", "libc"), [("darwin", ""), ("linux", "musl"), ("win32", "")])
def test_without_glibc_it_does_nothing_and_says_so(system: str, libc: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", system)
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("the system's library was opened"))
    assert mga.keep_freed_memory() is False


def test_a_libc_without_mallopt_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert mga.keep_freed_memory() is False
