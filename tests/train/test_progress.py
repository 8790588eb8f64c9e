"""What is said of a training, without a terminal: lines on stderr, and nothing where nothing is to be shown."""

from __future__ import annotations

import pytest
from toys.trainings import STAGES

from mga_wrap.train.progress import Progress

ROW = {"stage": "mask", "step": 4, "loss": 0.123456, "seconds": 61.6, "psnr_0": 30.5, "psnr_0.25": 31.25}


def test_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(STAGES, shown=True) as progress:
        progress.update(1, 4, 0.5, images=8)
        progress.row(ROW)
        progress.say("[bold]as it is[/bold]")
    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert out == ""
    assert first.startswith("mask 4: loss 0.12346 psnr_0 30.5 psnr_0.25 31.25 (")
    assert first.endswith(" images/s, 62 s)")
    assert second == "[bold]as it is[/bold]"


def test_other_processes_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(STAGES, shown=False) as progress:
        progress.update(0, 1, 0.5, images=8)
        progress.row(ROW)
        progress.say("a line")
    assert capsys.readouterr() == ("", "")


def test_speed_is_that_of_the_stage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr("mga_wrap.train.progress.time.monotonic", lambda: now[0])
    progress = Progress(STAGES, shown=True)
    for stage, step, seconds in ((0, 1, 0.0), (0, 2, 10.0), (1, 1, 20.0), (1, 2, 22.0)):
        now[0] = seconds
        progress.update(stage, step, 0.5, images=4)
    progress.row(ROW)
    assert "(4.0 images/s, 62 s)" in capsys.readouterr().err, "8 images of the second stage in 2 seconds"
    assert progress.seconds == 22.0
