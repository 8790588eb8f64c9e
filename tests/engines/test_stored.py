"""The folder of graphs: bounded, the oldest go first; what lies there is looked at once, and made again if broken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn
from toys.whole import Pools

import mga_wrap as mga
from mga_wrap.engines import parts, stored
from mga_wrap.engines.parts import EngineNet
from mga_wrap.engines.sessions import installed_engines, to_onnx
from mga_wrap.pictures.synthetic import synthetic

ENGINES = pytest.mark.parametrize("engine", installed_engines())


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MGA_WRAP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def opened(net: nn.Module, engine: str) -> EngineNet:
    return EngineNet(net, engine=engine, dtype=torch.float32, threads=1)


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


@ENGINES
def test_a_graph_is_written_once_and_a_broken_one_again(
    engine: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, lr = mga.create_backbone("student-half", scale=2).eval(), synthetic(40, 56)
    with torch.no_grad():
        expected = model(lr)
    first = opened(model, engine)(lr)
    (kept,) = own_cache.glob("*.onnx")
    monkeypatch.setattr(parts, "to_onnx", lambda *_, **__: 1 / 0)
    assert torch.equal(opened(model, engine)(lr), first)
    monkeypatch.undo()
    monkeypatch.setenv("MGA_WRAP_CACHE", str(own_cache))
    whole = kept.read_bytes()
    kept.write_bytes(b"no graph")
    torch.testing.assert_close(opened(model, engine)(lr), expected, atol=1e-4, rtol=0)
    assert kept.read_bytes() == whole  # made again, for every size


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by one whenever a graph is held against its network."""
    made: list[str] = []
    own = EngineNet._check

    def check(self: EngineNet, *about: object) -> None:
        made.append(self.engine)
        own(self, *about)  # type: ignore[arg-type]

    monkeypatch.setattr(EngineNet, "_check", check)
    return made


@ENGINES
def test_what_was_seen_to_be_right_is_not_looked_at_again(engine: str, own_cache: Path, checks: list[str]) -> None:
    model, lr = mga.create_backbone("student-half", scale=2).eval(), synthetic(40, 56)
    with torch.no_grad():
        expected = model(lr)
    first = opened(model, engine)(lr)
    assert checks == [engine]
    assert torch.equal(opened(model, engine)(lr), first)
    assert checks == [engine]
    opened(model, engine)(synthetic(24, 40))  # a second size
    opened(model, engine)(synthetic(24, 44))  # a third
    assert checks == [engine] * 2
    (kept,) = own_cache.glob("*.onnx")
    other = mga.create_backbone("student-half", scale=2).eval()
    kept.write_bytes(to_onnx(other, [lr], dynamic={"x0": {2: "height", 3: "width"}}))
    torch.testing.assert_close(opened(model, engine)(lr), expected, atol=1e-4, rtol=0)  # another graph in its place
    assert len(checks) > 2


@ENGINES
def test_what_another_version_saw_is_looked_at_again(
    engine: str, own_cache: Path, checks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, lr = mga.create_backbone("student-half", scale=2).eval(), synthetic(40, 56)
    opened(model, engine)(lr)
    with monkeypatch.context() as other:
        other.setattr(stored, "versions", lambda: "later ones")
        opened(model, engine)(lr)
    assert len(checks) == 2
    for file in own_cache.glob("checked-*.json"):
        file.write_text('{"way": "free", "sizes": [["graph"]]}')
    opened(model, engine)(lr)
    assert len(checks) == 3
    for file in own_cache.glob("checked-*.json"):
        file.write_text('{"way": ["free"], "sizes": []}')
    opened(model, engine)(lr)
    assert len(checks) == 4


@pytest.mark.skipif("openvino" not in installed_engines(), reason="needs openvino")
def test_what_openvino_alone_knows_is_written_once(
    own_cache: Path, checks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, lr = Pools().eval(), synthetic(41, 61)
    first = opened(model, "openvino")(lr)
    monkeypatch.setattr(parts, "to_onnx", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(parts, "to_ir", lambda *_, **__: 1 / 0)
    assert torch.equal(opened(model, "openvino")(lr), first)
    assert len(checks) == 1
    monkeypatch.undo()
    monkeypatch.setenv("MGA_WRAP_CACHE", str(own_cache))
    (kept,) = own_cache.glob("*.ir")
    kept.write_bytes(kept.read_bytes()[:-40])
    assert torch.equal(opened(model, "openvino")(lr), first)


@ENGINES
def test_a_folder_that_cannot_be_written_is_gone_without(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MGA_WRAP_CACHE", str(tmp_path / "file"))
    model, lr = mga.create_backbone("student-half", scale=2).eval(), synthetic(40, 56)
    with torch.no_grad():
        torch.testing.assert_close(opened(model, engine)(lr), model(lr), atol=1e-4, rtol=0)
