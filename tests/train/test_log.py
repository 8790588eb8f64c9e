"""The log: no row twice, none cut off."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from toys.trainings import rows

import mga_wrap as mga
from mga_wrap.train.log import Log

ORDER = ["coarse", "mask"]
COLUMNS = ("stage", "step", "total_steps", "loss", "rate", "psnr_0")


def row(stage: str, step: int, total: int) -> dict[str, object]:
    return {"stage": stage, "step": step, "total_steps": total, "loss": 0.5, "rate": 0.1, "psnr_0": 30.0 + total}


def steps(folder: Path) -> list[tuple[str, str]]:
    return [(one["stage"], one["step"]) for one in rows(folder)]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    log = Log(tmp_path, columns=COLUMNS, order=ORDER, stage=0, step=0)
    for one in (("coarse", 5, 5), ("coarse", 10, 10), ("mask", 5, 15)):
        log.add(row(*one))
    return tmp_path


def test_rows_are_appended(written: Path) -> None:
    assert steps(written) == [("coarse", "5"), ("coarse", "10"), ("mask", "5")]
    assert rows(written)[0] == {name: str(value) for name, value in row("coarse", 5, 5).items()}


@pytest.mark.parametrize(
    ("stage", "step", "kept"), [(0, 0, 0), (0, 4, 0), (0, 5, 1), (0, 9, 1), (1, 0, 2), (1, 4, 2), (1, 5, 3), (2, 0, 3)]
)
def test_rows_of_steps_that_come_again_are_taken_out(stage: int, step: int, kept: int, written: Path) -> None:
    Log(written, columns=COLUMNS, order=ORDER, stage=stage, step=step)
    assert steps(written) == [("coarse", "5"), ("coarse", "10"), ("mask", "5")][:kept]


@pytest.mark.parametrize("cut", [1, 3, 8, 15])
def test_a_row_that_a_kill_cut_off_is_taken_out(cut: int, written: Path) -> None:
    text = (written / "log.csv").read_text()
    (written / "log.csv").write_text(text[:-cut])
    Log(written, columns=COLUMNS, order=ORDER, stage=2, step=0).add(row("mask", 7, 17))
    assert steps(written) == [("coarse", "5"), ("coarse", "10"), ("mask", "7")]


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(mga.CheckpointError, match=r"log.csv cannot be (gone on with|written)"):
        Log(tmp_path / "file", columns=COLUMNS, order=ORDER, stage=0, step=0)


def test_tensorboard_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(mga.ArgumentError, match=r"not installed: pip install 'mga-wrap\[tensorboard\]'"):
        Log(tmp_path, columns=COLUMNS, order=ORDER, stage=0, step=0, tensorboard=True)


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_gets_the_same_figures(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = Log(tmp_path, columns=COLUMNS, order=ORDER, stage=0, step=0, tensorboard=True)
    log.add(row("coarse", 5, 5))
    log.add(row("mask", 5, 15))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("psnr_0")] == [(5, 35.0), (15, 45.0)]


# Older and broken logs -----------------------------------------------------------------------------------------------


def test_the_rate_of_an_older_log_is_read(written: Path) -> None:
    text = (written / "log.csv").read_text()
    (written / "log.csv").write_text(text.replace(",rate,", ",lr,"))
    Log(written, columns=COLUMNS, order=ORDER, stage=2, step=0)
    assert (written / "log.csv").read_text() == text


HEADER = ",".join(COLUMNS)
BROKEN = [
    (b"\x89PNG\r\n\x1a\n\x00\x00", "'utf-8' codec can't decode"),
    (b"\x00\x01\x02", "its first line has no stage, step, total_steps"),
    (b"name,mean\na,1\n", "its first line has no stage, step, total_steps"),
    (b"stage,step\ncoarse,5\n", "its first line has no total_steps"),
    (b"stage,step,total_steps,loss\ncoarse,5,5,0.5\n", "it has the columns stage, step, total_steps, loss; expected"),
    (f"{HEADER}\ncoarse,5\nmask,5,15,0.5,0.1,30\n".encode(), "line 2 is no row of it"),
    (f"{HEADER}\ncoarse,5,5,0.5,0.1,30\ncoarse,five,5,0.5,0.1,30\n".encode(), "line 3 is no row of it"),
    (f'{HEADER}\ncoarse,5,5,0.5,0.1,"30\n'.encode(), "unexpected end of data"),
    (f"{HEADER}\n{'9' * 200_000},5,5,0.5,0.1,30\n".encode(), "field larger than field limit"),
]


@pytest.mark.parametrize(("content", "reason"), BROKEN, ids=[reason for _, reason in BROKEN])
def test_a_broken_log_is_told_and_stays(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(content)
    message = rf"log.csv cannot be gone on with: .*{reason}.*; move it away, or choose another output_dir"
    with pytest.raises(mga.CheckpointError, match=message):
        Log(tmp_path, columns=COLUMNS, order=ORDER, stage=2, step=0)
    assert (tmp_path / "log.csv").read_bytes() == content


@pytest.mark.parametrize("content", ["", "sta", "stage,step,tot", "stage,step,total_steps,loss,rate,psnr_0"])
def test_a_header_that_a_kill_cut_off_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(content)
    Log(tmp_path, columns=COLUMNS, order=ORDER, stage=0, step=0).add(row("coarse", 5, 5))
    assert steps(tmp_path) == [("coarse", "5")]
