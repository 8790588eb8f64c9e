"""The two files of a checkpoint: there and back, whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import mga_wrap as mga
from mga_wrap.checkpoint import (
    CONFIG,
    LARGEST_CONFIG,
    LARGEST_HEADER,
    WEIGHTS,
    check_header,
    read_config,
    read_weights,
    write_checkpoint,
)


def test_there_and_back(tmp_path: Path) -> None:
    tied = torch.rand(3, 2)
    tensors = {"a": tied, "b": tied, "view": torch.rand(4, 5).t(), "whole": torch.tensor(3), "flag": torch.tensor(True)}
    write_checkpoint(tmp_path / "new", config={"k": 0.2, "name": "é"}, tensors=tensors)
    assert read_config(tmp_path / "new" / CONFIG) == {"k": 0.2, "name": "é"}
    found = read_weights(tmp_path / "new" / WEIGHTS, expected=tensors)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], value) for name, value in tensors.items())


def test_what_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, config={"k": 1}, tensors={"a": torch.zeros(2)})
    with pytest.raises(TypeError):
        write_checkpoint(tmp_path, config={"k": object()}, tensors={"a": torch.ones(2)})
    assert read_config(tmp_path / CONFIG) == {"k": 1}
    assert torch.equal(read_weights(tmp_path / WEIGHTS, expected={"a": torch.zeros(2)})["a"], torch.zeros(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == [CONFIG, WEIGHTS]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[1]", "holds a list; expected the file that save_pretrained wrote"),
        (b"3", "holds a int"),
        (b'{"a": ' * 100_000, "cannot be read"),
        (json.dumps({"a": "x" * LARGEST_CONFIG}).encode(), "has more than 1,000,000 bytes; expected a config"),
    ],
)
def test_what_is_no_config(content: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_bytes(content)
    with pytest.raises(mga.CheckpointError, match=text):
        read_config(tmp_path / CONFIG)


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    for read in (read_config, check_header):
        with pytest.raises(mga.CheckpointError, match="is no file; expected the one that save_pretrained wrote"):
            read(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read in (read_config, check_header):
        with pytest.raises(mga.CheckpointError, match="is no file"):
            read(tmp_path / "pipe")


EXPECTED = {"a": torch.zeros(2, 3), "n": torch.tensor(3)}


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ({"n": torch.tensor(3)}, "lacks a; expected those that belong to the config.json beside it"),
        ({**EXPECTED, "b": torch.zeros(1)}, "has also b;"),
        ({"b": torch.zeros(1)}, "lacks a, n and has also b;"),
        ({**EXPECTED, "a": torch.zeros(3, 2)}, r"a has the shape \(3, 2\), expected \(2, 3\)"),
        ({**EXPECTED, "a": torch.zeros(2, 3, dtype=torch.int32)}, "a holds torch.int32, expected torch.float32"),
        ({**EXPECTED, "n": torch.tensor(3.0)}, "n holds torch.float32, expected torch.int64"),
        ({**EXPECTED, "a": torch.full((2, 3), float("nan"))}, "holds NaN or infinity in a; expected finite weights"),
        ({**EXPECTED, "a": torch.full((2, 3), float("-inf"))}, "holds NaN or infinity in a"),
        ({**EXPECTED, **{f"x{number}": torch.zeros(1) for number in range(9)}}, "has also x0, x1, x2 and 6 more;"),
        ({**EXPECTED, "x" * 10_000: torch.zeros(1)}, f"has also {'x' * 100};"),
    ],
)
def test_other_tensors_are_named(tensors: dict[str, torch.Tensor], text: str, tmp_path: Path) -> None:
    save_file(tensors, tmp_path / WEIGHTS)
    with pytest.raises(mga.CheckpointError, match=text):
        read_weights(tmp_path / WEIGHTS, expected=EXPECTED)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_may_be_of_another_precision(dtype: torch.dtype, tmp_path: Path) -> None:
    save_file({"a": torch.ones(2, dtype=dtype)}, tmp_path / WEIGHTS)
    assert read_weights(tmp_path / WEIGHTS, expected={"a": torch.zeros(2)})["a"].dtype == dtype


@pytest.mark.parametrize("length", [LARGEST_HEADER + 1, 10**8, 2**40, 2**64 - 1])
def test_a_header_that_says_it_is_huge_is_not_read(length: int, tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(mga.CheckpointError, match=f"its header says that it has {length:,} bytes; expected at most"):
        read_weights(tmp_path / WEIGHTS, expected=EXPECTED)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]},
        {"dtype": "F32", "shape": [2**63, 2**63], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [2, 3], "data_offsets": [24, 0]},
        {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 20]},
        {"dtype": "F33", "shape": [2, 3], "data_offsets": [0, 24]},
    ],
)
def test_a_header_that_lies_is_not_believed(entry: dict[str, object], tmp_path: Path) -> None:
    header = json.dumps({"a": entry}).encode()
    (tmp_path / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + bytes(24))
    with pytest.raises(mga.CheckpointError, match=r"cannot be read \(.*\); it is missing, truncated or no safetensors"):
        read_weights(tmp_path / WEIGHTS, expected=EXPECTED)
