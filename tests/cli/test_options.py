"""What the texts of options mean, and what is seen to be wrong before torch is imported."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from cli.calls import run

from mga_wrap.cli.options import (
    check_any_there,
    check_network,
    check_outputs,
    check_there,
    read_k,
    read_network_args,
    read_size,
)
from mga_wrap.config import HELP, CutConfig
from mga_wrap.errors import ArgumentError, CheckpointError, ImageError
from mga_wrap.measure.settings import ORIGINAL


def test_every_option_of_a_cut_has_a_line_of_help() -> None:
    assert list(HELP) == sorted(HELP, key=[one.name for one in fields(CutConfig)].index)
    assert set(HELP) == {one.name for one in fields(CutConfig)}
    shown = " ".join(run("bench", "--help").stdout.replace("│", " ").split())
    for name in ("split_at", "coarse_tail", "p", "halo"):
        assert HELP[name] in shown
    assert HELP["k"] in " ".join(run("eval", "--help").stdout.replace("│", " ").split())


def test_a_k_is_read_and_a_word_of_the_command_stays() -> None:
    assert [read_k(text) for text in (None, "100", "0.25", "1.0", "base", "all")] == [None, 100, 0.25, 1.0, 0, "all"]
    assert read_k(ORIGINAL, words=("original",)) == ORIGINAL
    for text in ("original", "9" * 5000, "-1", "nan"):
        with pytest.raises(ArgumentError, match="expected an int >= 0"):
            read_k(text)


@pytest.mark.parametrize(("text", "size"), [("320x180", (320, 180)), ("1X1", (1, 1)), ("007×010", (7, 10))])
def test_a_size_is_read(text: str, size: tuple[int, int]) -> None:
    assert read_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "3", "3x", "0x3", "3x00", "-3x3", "3x3x3", "3.0x3", "9" * 5000 + "x3", "1000000x1", "a\nxb"]
)
def test_what_is_no_size_is_refused_in_a_short_line(text: str) -> None:
    with pytest.raises(
        ArgumentError, match=r"expected WIDTHxHEIGHT, 1 to 999999 pixels each, e\.g\. 640x360"
    ) as caught:
        read_size(text)
    assert len(str(caught.value)) < 140


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    here, missing = tmp_path, tmp_path / "missing"
    check_there(here, None)
    check_any_there([missing, here])
    (tmp_path / "dangling").symlink_to(missing)
    for path in (missing, tmp_path / "dangling"):
        with pytest.raises(ImageError, match=f"cannot read {path}: there is no such file; check the path"):
            check_there(here, path)
        with pytest.raises(ImageError, match="there is no such file"):
            check_any_there([path, missing])
    check_there(tmp_path / ("a" * 300))  # told by who reads it, in the words of the file system


def test_a_network_by_its_path_has_to_be_a_folder(tmp_path: Path) -> None:
    for model in (None, "pan-m-x4", "any-name", str(tmp_path), ".", "owner/name", "owner/name:net.safetensors"):
        check_network(model)
    with pytest.raises(CheckpointError, match="missing is no folder; expected one that save_pretrained wrote"):
        check_network(None, str(tmp_path / "missing"))


def test_a_network_by_its_file_or_its_code_has_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("")
    (tmp_path / "net.pth").write_text("")
    check_network(f"{tmp_path}/net.py:Net", f"{tmp_path}/net.pth", "package.module:Net", weights=tmp_path / "net.pth")
    with pytest.raises(ArgumentError, match=r"none.py; there is no such file: expected file.py:Factory"):
        check_network(f"{tmp_path}/none.py:Net")
    for options in ({"weights": Path("none.pth")}, {}):
        with pytest.raises(CheckpointError, match=r"none.pth cannot be read: there is no such file; check the path"):
            check_network(*(() if options else ("none.pth",)), **options)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", r"got --network-args '{', no JSON: .*; expected a JSON object, such as '{\"blocks\": 16}'"),
        ("blocks=3", "got --network-args 'blocks=3', no JSON"),
        ("[1]", r"got --network-args '\[1\]', which names no values; expected a JSON object"),
        ("null", "got --network-args 'null', which names no values"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_the_arguments_of_a_network_are_a_json_object(text: str, said: str) -> None:
    assert read_network_args(None) == {}
    assert read_network_args('{"blocks": 3}') == {"blocks": 3}
    with pytest.raises(ArgumentError, match=said):
        read_network_args(text)


def test_an_output_has_the_name_of_a_file(tmp_path: Path) -> None:
    check_outputs(None, tmp_path / "new" / "a.csv")
    for path in (Path(""), Path("."), Path(".."), Path("/"), tmp_path):
        with pytest.raises(ArgumentError, match=r"got the folder .* for an output; expected the name of a file"):
            check_outputs(None, path)
