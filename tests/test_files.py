"""whole_file: whole or not there, through links, and what killed runs left is cleaned up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mga_wrap import files
from mga_wrap.files import whole_file

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _fresh_process() -> None:
    files._sweep.cache_clear()  # as a later run would begin


def write(path: Path, text: str = "new") -> None:
    with whole_file(path) as part:
        part.write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_the_name_appears_when_everything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    with whole_file(path) as part:
        part.write_text("half")
        assert not path.exists()
        assert part.parent == path.parent
    assert (names(path.parent), path.read_text()) == (["a.txt"], "half")


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_keeps_the_older_file(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("older")

    def break_off() -> None:
        with whole_file(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(type(error)):
        break_off()
    assert (names(tmp_path), path.read_text()) == (["a.txt"], "older")


# --------------------------------------------------------------------------------------------------------------- links
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_stays_a_link_and_its_target_is_written(dangling: bool, tmp_path: Path) -> None:
    target, link, first = tmp_path / "disk" / "a.txt", tmp_path / "link.txt", tmp_path / "first.txt"
    if not dangling:
        target.parent.mkdir()
        target.write_text("older")
    link.symlink_to(Path("disk") / "a.txt")
    first.symlink_to(link)
    with whole_file(first) as part:
        assert part.parent == target.parent.resolve()  # beside the target: the rename is atomic
        part.write_text("new")
    assert (first.is_symlink(), link.is_symlink(), target.is_symlink()) == (True, True, False)
    assert target.read_text() == "new"
    assert names(target.parent) == ["a.txt"]


def test_a_link_that_leads_back_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError, match="a symbolic link that leads back to itself"):
        write(tmp_path / "a")
    assert names(tmp_path) == ["a", "b"]
    assert (tmp_path / "a").is_symlink()


def test_a_pipe_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match="a device, pipe or socket of that name stands there"):
            write(tmp_path / name)
    assert (tmp_path / "pipe").is_fifo()


# -------------------------------------------------------------------------------------------------- after a killed run
def dead_process() -> int:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def part_of(folder: Path, *, pid: int, machine: str | None = None, days: float = 0) -> Path:
    file = folder / f".mga-{machine or files._machine()}-{pid}-{'0' * 16}.part"
    file.write_text("half")
    then = time.time() - days * 24 * 60 * 60
    os.utime(file, (then, then))
    return file


def test_what_a_killed_run_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from mga_wrap.files import whole_file\n"
        "with whole_file(pathlib.Path(sys.argv[1]) / 'a.txt') as part:\n"
        "    part.write_text('half'); print('written', flush=True); time.sleep(600)"
    )
    run = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert run.stdout is not None
    with run.stdout as out:
        out.readline()
    (left,) = names(tmp_path)
    assert f"-{run.pid}-" in left
    write(tmp_path / "b.txt")
    assert names(tmp_path) == [left, "b.txt"]  # that process is alive
    run.send_signal(signal.SIGKILL)
    run.wait()
    files._sweep.cache_clear()
    write(tmp_path / "b.txt")
    assert names(tmp_path) == ["b.txt"]


def test_only_what_is_surely_left_over_is_removed(tmp_path: Path) -> None:
    dead = dead_process()
    gone = [
        part_of(tmp_path, pid=dead),
        part_of(tmp_path, pid=10**12),
        part_of(tmp_path, pid=1, machine="00000000", days=2),
    ]
    stays = [
        part_of(tmp_path, pid=os.getpid(), days=2),  # alive, however old
        part_of(tmp_path, pid=1, days=2),  # alive, though another user's
        part_of(tmp_path, pid=dead, machine="11111111"),  # of another machine: its processes are not known here
        tmp_path / "mine.part",
        tmp_path / ".mga-notes.part",
    ]
    for file in stays[-2:]:
        file.write_text("mine")
    write(tmp_path / "a.txt")
    assert [file.name for file in gone if file.exists()] == []
    assert [file.name for file in stays if not file.exists()] == []


def test_a_folder_is_looked_through_once_a_run(tmp_path: Path) -> None:
    write(tmp_path / "a.txt")
    left = part_of(tmp_path, pid=dead_process())
    write(tmp_path / "b.txt")
    assert left.exists()
