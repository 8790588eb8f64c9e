"""The two files of a checkpoint: there and back, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import mga_wrap as mga
from mga_wrap.checkpoint import CONFIG, LARGEST_CONFIG, WEIGHTS, read_config, read_weights, write_checkpoint


def test_there_and_back(tmp_path: Path) -> None:
    tied = torch.rand(3, 2)
    tensors = {"a": tied, "b": tied, "view": torch.rand(4, 5).t(), "whole": torch.tensor(3), "flag": torch.tensor(True)}
    write_checkpoint(tmp_path / "new", config={"k": 0.2, "name": "é"}, tensors=tensors)
    assert read_config(tmp_path / "new" / CONFIG) == {"k": 0.2, "name": "é"}
    found = read_weights(tmp_path / "new" / WEIGHTS)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], value) for name, value in tensors.items())


def test_what_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, config={"k": 1}, tensors={"a": torch.zeros(2)})
    with pytest.raises(TypeError):
        write_checkpoint(tmp_path, config={"k": object()}, tensors={"a": torch.ones(2)})
    assert read_config(tmp_path / CONFIG) == {"k": 1}
    assert torch.equal(read_weights(tmp_path / WEIGHTS)["a"], torch.zeros(2))
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
    for read in (read_config, read_weights):
        with pytest.raises(mga.CheckpointError, match="cannot be read"):
            read(tmp_path)
