"""Unfinished work: kept over a kill, used for the same question alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys.plain import build

import mga_wrap as mga
from mga_wrap.errors import ImageError
from mga_wrap.measure.partial import Partial, identity_of

ROWS = [{"picture": "a.png", "psnr_y": float("inf"), "k": "all"}]


def test_what_is_added_is_there_again(tmp_path: Path) -> None:
    out = tmp_path / "new" / "rows.csv"
    kept = Partial(out, identity="x")
    assert kept.get("a") is None
    kept.add("a", ROWS)
    kept.add("b", [])
    again = Partial(out, identity="x")
    assert (len(again), again.get("a"), again.get("b")) == (2, ROWS, [])
    again.finish()
    assert list(out.parent.iterdir()) == []


def test_another_question_begins_anew(tmp_path: Path) -> None:
    Partial(tmp_path / "a.csv", identity="x").add("a", ROWS)
    assert len(Partial(tmp_path / "a.csv", identity="y")) == 0
    assert len(Partial(tmp_path / "a.csv", identity="x")) == 0  # the other one has taken its place


@pytest.mark.parametrize("cut", [1, 20, 70])
def test_a_line_that_a_kill_cut_is_left_out(cut: int, tmp_path: Path) -> None:
    kept = Partial(tmp_path / "a.csv", identity="x")
    kept.add("a", ROWS)
    kept.add("b", ROWS)
    assert kept.path is not None
    kept.path.write_bytes(kept.path.read_bytes()[:-cut])
    again = Partial(tmp_path / "a.csv", identity="x")
    again.add("c", ROWS)  # on a line of its own, whatever the last one looked like
    found = Partial(tmp_path / "a.csv", identity="x")
    whole = ["a"] if cut > 1 else ["a", "b"]
    assert [name for name in "abc" if found.get(name)] == [*whole, "c"]


def test_without_an_output_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = Partial(None, identity="x")
    kept.add("a", ROWS)
    assert kept.get("a") == ROWS
    kept.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageError, match=r"cannot write .*partial\.jsonl: .*; choose another folder"):
        Partial(tmp_path / "file" / "a.csv", identity="x")


def test_the_identity_is_that_of_weights_and_arguments() -> None:
    net = mga.accelerate(build("LongSkip", 2), p=4)
    same = identity_of(net, ks=[1])
    assert identity_of(mga.accelerate(build("LongSkip", 2), p=4), ks=[1]) == same
    assert identity_of(net, ks=[1.0]) != same
    assert identity_of(net.to(torch.bfloat16), ks=[1]) != same
    other = mga.accelerate(build("LongSkip", 2), p=4)
    with torch.no_grad():
        next(other.refine.parameters()).view(-1)[0] += 1e-6
    assert identity_of(other, ks=[1]) != same
