"""What eval, mask-accuracy and sheet do alike."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli.calls import broken_tiff, files_in, measure, picture, table

from mga_wrap.pictures.pairs import Pair, read_pair

ROOT = Path(__file__).resolve().parents[2]


def style(command: str) -> str:
    """Of a network that the command has something to say of."""
    return "pretrained" if command == "choice" else "paper"


@pytest.mark.parametrize("command", ["eval", "mask-accuracy", "choice", "sheet"])
def test_a_picture_that_cannot_be_read_is_told(command: str, nets: dict[str, Path], data: Path, tmp_path: Path) -> None:
    (data / "1.png").write_bytes((data / "1.png").read_bytes()[:60])
    picture(data / "3.png", 6, 60)
    out = ("-o", tmp_path / "out") if command == "sheet" else ("--csv", tmp_path / "a.csv")
    result = measure(command, data, nets[style(command)], *out)
    assert result.exit_code == 1
    first, second, *rest = result.stderr.splitlines()
    assert first.startswith(f"error: cannot read {data / '1.png'}: ")
    assert second.startswith(f"error: cannot measure {data / '3.png'}: got an image of 60 x 6; both sides must be")
    if command == "sheet":
        assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["0_sheet.png", "2_sheet.png"]
    else:
        assert rest == ["2 of 4 pictures could not be measured; the means are over the others"]
        assert {row["picture"] for row in table(tmp_path / "a.csv")} == {"0.png", "2.png", "mean"}


@pytest.mark.parametrize("command", ["eval", "mask-accuracy", "choice", "sheet"])
def test_what_cannot_be_is_told_in_one_line(command: str, nets: dict[str, Path], data: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    picture(tmp_path / "lr" / "0.png", 10, 12)
    more = ("-o", tmp_path / "out") if command == "sheet" else ()
    cases: list[tuple[tuple[object, ...], int, str]] = [
        (("--data", tmp_path / "empty"), 1, "is a folder without images"),
        (("--data", tmp_path / "none"), 1, "there is no such file"),
        (("--scale", 3), 2, "got scale=3 and a model that enlarges by 2"),
        (("--crop", 3), 2, "got crop=3; expected a multiple of the scale 2"),
        (("--lr", tmp_path / "lr"), 1, "have no LR picture in"),
        (("--lr", tmp_path / "lr", "--data", data / "0.png"), 1, "for x2 expected an LR picture of 24 x 20"),
        (("--model", tmp_path / "none"), 1, "is no folder"),
        (("--k", 0 if command == "mask-accuracy" else -1), 2, "got k="),
    ]
    for words, code, text in cases:
        result = measure(command, data, nets[style(command)], *more, *words)
        assert (result.exit_code, len(result.stderr.splitlines())) == (code, 1), result.stderr
        assert text in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("error", [RuntimeError("odd"), OSError(5, "broken"), MemoryError("too large")])
@pytest.mark.parametrize("command", ["eval", "mask-accuracy", "choice", "sheet"])
def test_whatever_fails_at_one_picture_is_one_line_and_the_others_go_on(
    command: str,
    error: Exception,
    nets: dict[str, Path],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = f"mga_wrap.cli.work.{ {'eval': 'evaluate'}.get(command, command.replace('-', '_')) }"

    def fail_at_one(pair: Pair, **options: Any) -> Any:
        if pair.name == "1.png":
            raise error
        return read_pair(pair, **options)

    monkeypatch.setattr(f"{module}.read_pair", fail_at_one)
    out = ("-o", tmp_path / "out") if command == "sheet" else ("--csv", tmp_path / "a.csv")
    result = measure(command, data, nets[style(command)], *out)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == f"error: {data / '1.png'}: {error}"
    if command == "sheet":
        assert files_in(tmp_path / "out") == ["0_sheet.png", "2_sheet.png"]
    else:
        assert {row["picture"] for row in table(tmp_path / "a.csv")} == {"0.png", "2.png", "mean"}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["eval", "mask-accuracy", "choice", "sheet"])
def test_a_broken_tiff_is_one_line_and_its_library_is_silent(
    command: str, nets: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "broken.tif").write_bytes(broken_tiff(tmp_path / "whole.tif"))
    words = [
        command,
        "--data",
        tmp_path / "broken.tif",
        "--scale",
        2,
        "--model",
        nets[style(command)],
        "--device",
        "cpu",
    ]
    words += ["-o", tmp_path / "out"] if command == "sheet" else []
    line = [sys.executable, "-m", "mga_wrap", *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)  # C writes past Python
    assert (done.returncode, done.stdout) == (1, "")
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error"]


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (command, option)
        for command in ("eval", "mask-accuracy", "choice")
        for option in ("--csv", "--json", "--markdown")
    ]
    + [("eval", "--plot")],
)
def test_an_output_that_is_a_folder_is_told_before_anything_is_measured(
    command: str, option: str, saved: Path, data: Path
) -> None:
    for path in ("", data):
        result = measure(command, data, saved, option, path)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert "for an output; expected the name of a file" in result.stderr
