"""The folder of graphs: bounded, the oldest go first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mga_wrap.engines import stored


def test_beyond_the_most_those_go_that_were_not_used_for_longest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MGA_WRAP_CACHE", str(tmp_path))
    monkeypatch.setattr(stored, "MOST", 25)
    (tmp_path / "engine-a.json").write_text("{}")
    for number, name in enumerate("abc"):
        assert stored.stored(name, lambda: b"0123456789") == b"0123456789"
        if name != "c":
            os.utime(tmp_path / f"{name}.onnx", (number, number))
        if name == "b":
            stored.stored("a", lambda: b"")  # is there: it is only read, and is the younger one now
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "c.onnx", "engine-a.json"]


def test_a_graph_larger_than_the_most_is_kept_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MGA_WRAP_CACHE", str(tmp_path))
    monkeypatch.setattr(stored, "MOST", 5)
    stored.stored("a", lambda: b"0123456789")
    os.utime(tmp_path / "a.onnx", (0, 0))
    stored.stored("b", lambda: b"0123456789")
    assert [path.name for path in tmp_path.iterdir()] == ["b.onnx"]
