"""One training a folder, and nothing left behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import mga_wrap as mga
from mga_wrap.train import lock
from mga_wrap.train.lock import LOCK, alone_in

ROOT = Path(__file__).resolve().parents[2]
HOLDS = "import sys, time; from pathlib import Path; from mga_wrap.train.lock import alone_in\n"
HOLDS += "with alone_in(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)"
TAKEN = r"out belongs to another training that is running \(.*{}.*\); wait until it has ended, or choose another"


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder."""
    command = [sys.executable, "-c", HOLDS, str(folder)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_folder_is_made_and_held_and_let_go(tmp_path: Path) -> None:
    with alone_in(tmp_path / "a" / "out"):
        assert (tmp_path / "a/out" / LOCK).read_text().startswith(f"process {os.getpid()} on ")
    assert not (tmp_path / "a" / "out").exists(), "nothing was put into it"
    with alone_in(tmp_path / "out"):
        (tmp_path / "out/file").write_text("")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]


def test_an_empty_folder_that_was_there_stays(tmp_path: Path) -> None:
    with alone_in(tmp_path):
        pass
    assert tmp_path.is_dir()


def test_another_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    process = holder(tmp_path / "out")
    try:
        with (
            pytest.raises(mga.CheckpointError, match=TAKEN.format(f"process {process.pid}")),
            alone_in(tmp_path / "out"),
        ):
            pass
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with alone_in(tmp_path / "out"):  # what a kill leaves locks nobody out
        pass


def test_a_second_one_in_the_same_process_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with alone_in(tmp_path / "out"):
        for _ in range(2):
            with pytest.raises(mga.CheckpointError, match=TAKEN.format("in this process")), alone_in(tmp_path / "out"):
                pass
        assert (tmp_path / "out" / LOCK).exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_draws_crops_does_not_hold_the_folder(tmp_path: Path) -> None:
    """A worker outlives a killed training by some seconds."""
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        with alone_in(tmp_path):
            if (worker := os.fork()) == 0:
                signal.pause()
            os.write(write, f"{worker}\n".encode())
            os._exit(0)  # dies without letting go
    os.waitpid(parent, 0)
    worker = int(os.read(read, 20))
    try:
        with alone_in(tmp_path):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    for folder in (tmp_path / "out", tmp_path / "out" / "a"):
        with pytest.raises(mga.CheckpointError, match=r"cannot be written \(.*\); choose another"), alone_in(folder):
            pass


@pytest.mark.skipif(sys.platform == "win32", reason="the lock of POSIX")
def test_a_disk_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", unsupported)
    with pytest.warns(UserWarning, match=r"lies on a disk without locks \(.*\); start no second"), alone_in(tmp_path):
        pass


def test_a_file_that_its_holder_has_just_removed_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take, opened = lock._lock, []

    def removed_before(file: object) -> None:
        opened.append(file)
        if len(opened) == 1:
            (tmp_path / LOCK).unlink()
        take(file)  # type: ignore[arg-type]

    monkeypatch.setattr(lock, "_lock", removed_before)
    with alone_in(tmp_path):
        assert len(opened) == 2
        assert (tmp_path / LOCK).exists()
