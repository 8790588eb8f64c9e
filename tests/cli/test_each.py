"""The loop over pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mga_wrap.cli.work.each import ReadAhead, each_picture
from mga_wrap.errors import ImageError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ImageError("cannot read 1.png: it is no image"), "error: cannot read 1.png: it is no image\n"),
        (OSError(5, "Input/output error"), "error: 1.png: [Errno 5] Input/output error\n"),
        (RuntimeError("CUDA error:\n  launch failed"), "error: 1.png: CUDA error: launch failed\n"),
        (RecursionError(), "error: 1.png: RecursionError\n"),
        (MemoryError(), "error: 1.png: MemoryError\n"),
    ],
)
def test_a_failure_is_one_line_and_the_others_go_on(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    done = []

    def work(number: int) -> None:
        if number == 1:
            raise error
        done.append(number)

    failures = each_picture(range(3), work, source=lambda number: Path(f"{number}.png"), doing="working")
    assert (failures, done, capsys.readouterr().err) == (1, [0, 2], said)


@pytest.mark.parametrize("error", [BrokenPipeError(), KeyboardInterrupt(), KeyError("a mistake of ours")])
def test_what_is_not_about_one_picture_ends_it(error: BaseException) -> None:
    done: list[int] = []

    def work(number: int) -> None:
        done.append(number)
        raise error

    with pytest.raises(type(error)):
        each_picture(range(3), work, source=lambda number: Path(f"{number}.png"), doing="working")
    assert done == [0]


def test_what_is_left_of_a_picture_is_done_beside_the_next_one(capsys: pytest.CaptureFixture[str]) -> None:
    reached, told = threading.Event(), []

    def work(number: int) -> Callable[[], str]:
        if number == 1:
            reached.set()  # only while 0 waits for it

        def rest() -> str:
            assert reached.wait(60)
            told.append(number)
            if number == 1:
                raise ImageError("cannot write 1.png: no space left on device")
            return f"{number} is done"

        return rest

    failures = each_picture(range(4), work, source=lambda number: Path(f"{number}.png"), doing="working")
    assert (failures, told) == (1, [0, 1, 2, 3])
    said = capsys.readouterr()
    assert said.out == "0 is done\n2 is done\n3 is done\n"
    assert said.err == "error: cannot write 1.png: no space left on device\n"


@pytest.mark.parametrize("beside", [1, 3])
def test_no_more_pictures_are_left_behind_than_may_be(beside: int, capsys: pytest.CaptureFixture[str]) -> None:
    lock, held, most = threading.Lock(), 0, 0

    def work(number: int) -> Callable[[], str]:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)

        def rest() -> str:
            nonlocal held
            time.sleep(0.05 if number % 3 == 0 else 0.01)  # the next ones are done before it
            with lock:
                held -= 1
            return str(number)

        return rest

    paths = {number: Path(f"{number}.png") for number in range(9)}
    assert each_picture(range(9), work, source=paths.__getitem__, doing="working", beside=beside) == 0
    assert (held, most) == (0, beside + 1)  # the one that is worked on, and those before it
    assert capsys.readouterr().out.split() == [str(number) for number in range(9)]


def test_several_are_left_behind_at_once() -> None:
    together = threading.Barrier(3, timeout=60)  # passed only while three are done beside each other

    def work(_: int) -> Callable[[], str]:
        def rest() -> str:
            together.wait()
            return ""

        return rest

    paths = {number: Path(f"{number}.png") for number in range(6)}
    assert each_picture(range(6), work, source=paths.__getitem__, doing="working", beside=3) == 0


def test_nobody_reading_ends_it_from_behind_too() -> None:
    begun: list[int] = []

    def work(number: int) -> Callable[[], str]:
        begun.append(number)

        def rest() -> str:
            raise BrokenPipeError

        return rest

    with pytest.raises(BrokenPipeError):
        each_picture(range(5), work, source=lambda number: Path(f"{number}.png"), doing="working")
    assert begun == [0, 1]


def test_the_next_file_is_read_while_one_is_worked_on() -> None:
    begun = {name: threading.Event() for name in "abc"}

    def read(path: Path) -> str:
        begun[path.name].set()
        if path.name == "b":
            raise ImageError("b is no image")
        return path.name

    with ThreadPoolExecutor(1) as pool:
        ahead = ReadAhead([Path(name) for name in "abc"], read, pool)
        assert not begun["a"].is_set()
        assert ahead() == "a"
        assert begun["b"].wait(60)
        assert not begun["c"].is_set()  # one is read ahead, not more
        with pytest.raises(ImageError, match="b is no image"):
            ahead()
        assert ahead() == "c"
