"""The loop over pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mga_wrap.cli.work.each import each_picture
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

    def work(number: int) -> Callable[[], None]:
        if number == 1:
            reached.set()  # only while 0 waits for it

        def rest() -> None:
            assert reached.wait(60)
            told.append(number)
            if number == 1:
                raise ImageError("cannot write 1.png: no space left on device")

        return rest

    failures = each_picture(range(4), work, source=lambda number: Path(f"{number}.png"), doing="working")
    assert (failures, told) == (1, [0, 1, 2, 3])
    assert capsys.readouterr().err == "error: cannot write 1.png: no space left on device\n"


def test_no_more_than_one_picture_is_left_behind() -> None:
    held, most = 0, 0

    def work(_: int) -> Callable[[], None]:
        nonlocal held, most
        held += 1
        most = max(most, held)

        def rest() -> None:
            nonlocal held
            time.sleep(0.01)
            held -= 1

        return rest

    assert each_picture(range(6), work, source=lambda number: Path(f"{number}.png"), doing="working") == 0
    assert (held, most) == (0, 2)  # the one that is worked on, and the one before it


def test_nobody_reading_ends_it_from_behind_too() -> None:
    begun: list[int] = []

    def work(number: int) -> Callable[[], None]:
        begun.append(number)

        def rest() -> None:
            raise BrokenPipeError

        return rest

    with pytest.raises(BrokenPipeError):
        each_picture(range(5), work, source=lambda number: Path(f"{number}.png"), doing="working")
    assert begun == [0, 1]
