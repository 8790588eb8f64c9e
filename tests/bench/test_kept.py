"""The same calls in a process that keeps its memory: they run, or a note says why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from mga_wrap.backbones.registry import create_backbone
from mga_wrap.bench import kept
from mga_wrap.bench.entries import Entry, _network_entry
from mga_wrap.bench.kept import kept_entries
from mga_wrap.bench.timing import time_in_turn
from mga_wrap.errors import MGAError
from mga_wrap.infer.engine import Format

PLAIN = Format(channels_last=False, dtype=torch.float32)
LR = torch.rand(1, 3, 12, 16)


def entry_of(net: nn.Module) -> Entry:
    return _network_entry("original, best format", net, LR, PLAIN, 7)


@pytest.mark.slow
def test_they_run_in_the_other_process_and_it_is_told_when_that_ends() -> None:
    network = create_backbone("fsrcnn", scale=2).eval()
    with kept_entries([entry_of(network)], LR, "wall") as (found, notes):
        if not found:
            pytest.skip("there is no glibc here")
        (one,) = found
        assert (one.name, one.macs, one.net, notes) == ("original, best format, memory kept", 7, None, [])
        timing = time_in_turn({"one": one.call}, repeats=3, device=LR.device)["one"]
        assert len(timing.rounds) == 3
        assert min(timing.rounds) > 0
    with pytest.raises(MGAError, match="has ended"):
        one.call.seconds()  # type: ignore[misc]


def test_what_cannot_be_handed_over_is_told() -> None:
    network = create_backbone("fsrcnn", scale=2).eval()
    network.register_forward_hook(lambda *_: None)
    with kept_entries([entry_of(network)], LR, "wall") as (found, notes):
        assert found == []
        assert "cannot be handed to another process" in notes[0]


def test_without_glibc_nothing_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(kept, "keep_freed_memory", lambda: False)
    kept.serve(str(Path("there is no such file")))
    assert capsys.readouterr().out == f"{kept._NO}\n"
