"""The loop over pictures."""

from __future__ import annotations

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
