"""What is timed: both networks in their formats, other engines with the same result, memory of the networks alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.bench import entries as entries_module
from mga_wrap.bench.entries import compiled_entry, engine_entries, entries_of, fastest_format, memory_of
from mga_wrap.bench.result import AS_IT_RUNS, BEST_FORMAT, COARSE
from mga_wrap.bench.timing import Call, Timing
from mga_wrap.counting import count_macs
from mga_wrap.errors import MGAError
from mga_wrap.infer.engine import Format

MODEL = create_backbone("fsrcnn", scale=2).eval()
NET = accelerate(MODEL, p=4, halo=1).eval()
LR = torch.rand(1, 3, 12, 16)
BEST = Format(channels_last=True, dtype=torch.float32)


def test_the_two_networks_in_their_formats() -> None:
    found = entries_of(NET, MODEL, LR, BEST, [0.5])
    assert [(entry.name, entry.options) for entry in found] == [
        (AS_IT_RUNS, {}),
        (BEST_FORMAT, {}),
        (COARSE, {"k": 0.0}),
        ("accelerated", {"k": 0.5}),
    ]
    assert [str(entry.format) for entry in found] == ["contiguous float32"] + ["channels_last float32"] * 3
    macs = [count_macs(MODEL, LR)] * 2 + [NET.macs(12, 16, k=k)["total"] for k in (0, 0.5)]
    assert [entry.macs for entry in found] == macs
    assert [entry.call.net for entry in found] == [None, None, NET, NET]
    assert len({entry.key for entry in found}) == 4


def test_each_runs_its_network_once_with_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, bool]] = []
    monkeypatch.setattr(
        NET, "forward", lambda lr, *, k: seen.append((k, lr.is_contiguous(memory_format=torch.channels_last)))
    )
    entries = entries_of(NET, MODEL, LR, BEST, [0.5])[2:]
    seen.clear()  # their MACs were counted by a run of a copy
    for entry in entries:
        entry.call.run()
    assert seen == [(0.0, True), (0.5, True)]


@pytest.mark.parametrize("quickest", ["contiguous float32", "channels_last float32", "channels_last bfloat16"])
def test_the_fastest_format_is_the_one_with_the_shortest_round(quickest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def timings(calls: dict[str, Call], **_: object) -> dict[str, Timing]:
        assert list(calls) == [f"{a} {b}" for b in ("float32", "bfloat16") for a in ("contiguous", "channels_last")]
        return {name: Timing((2.0, 1.0 if name == quickest else 1.5), {}) for name in calls}

    monkeypatch.setattr(entries_module, "time_in_turn", timings)
    monkeypatch.setattr(entries_module, "has_bfloat16", lambda: True)
    assert str(fastest_format(MODEL, LR, None, "wall")) == quickest


def test_bfloat16_that_is_emulated_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def timings(calls: dict[str, Call], **_: object) -> dict[str, Timing]:
        seen.extend(calls)
        return {name: Timing((2.0, 1.0), {}) for name in calls}

    monkeypatch.setattr(entries_module, "time_in_turn", timings)
    monkeypatch.setattr(entries_module, "has_bfloat16", lambda: False)
    fastest_format(MODEL, LR, None, "wall")
    assert seen == ["contiguous float32", "channels_last float32"]


def test_a_dtype_that_is_asked_for_is_kept() -> None:
    assert fastest_format(MODEL, LR, "bfloat16", "wall").dtype == torch.bfloat16


def pretend(monkeypatch: pytest.MonkeyPatch, engines: dict[str, Callable[[Tensor], Tensor]]) -> None:
    """Engines in which the original makes what a function makes, and the accelerated network what it always does."""

    def opened(net: nn.Module, *, engine: str, **_: object) -> Callable[..., Tensor]:
        return lambda lr, k=None: engines[engine](lr) if net is MODEL else net(lr, k=k)

    monkeypatch.setattr(entries_module, "installed_engines", lambda: tuple(engines))
    monkeypatch.setattr(entries_module, "EngineNet", opened)


def test_both_networks_are_timed_in_each_dtype_of_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {"onnxruntime": MODEL, "openvino": MODEL})
    best = Format(channels_last=True, dtype=torch.bfloat16)
    with torch.no_grad():
        found, notes = engine_entries(NET, MODEL, LR, best, [0.5])
    assert notes == []
    assert [(entry.name, str(entry.format), entry.share, entry.net) for entry in found] == [
        ("onnxruntime", "contiguous float32", None, None),
        ("accelerated in onnxruntime", "contiguous float32", 0.5, None),
        ("openvino", "contiguous float32", None, None),
        ("accelerated in openvino", "contiguous float32", 0.5, None),
        ("openvino", "contiguous bfloat16", None, None),
        ("accelerated in openvino", "contiguous bfloat16", 0.5, None),
    ]
    assert {entry.macs for entry in found[::2]} == {count_macs(MODEL, LR)}
    assert {entry.macs for entry in found[1::2]} == {NET.macs(*LR.shape[-2:], k=0.5)["total"]}


def test_engines_that_fail_are_noted_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(lr: Tensor) -> Tensor:
        raise RuntimeError("\nno such layer\nat line 7\n")

    pretend(monkeypatch, {"onnxruntime": lambda lr: MODEL(lr) * 0, "openvino": fails})
    with torch.no_grad():
        assert engine_entries(NET, MODEL, LR, BEST, [0.5]) == (
            [],
            [
                "onnxruntime, contiguous float32: its result differs by 100.0%",
                "openvino, contiguous float32: no such layer",
            ],
        )


def test_without_an_engine_there_is_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, {})
    assert engine_entries(NET, MODEL, LR, BEST, [0.5]) == ([], [])


def test_memory_is_that_of_the_networks_or_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    found = entries_of(NET, MODEL, LR, BEST, [0.5])
    asked: list[tuple[object, object]] = []
    monkeypatch.setattr(
        entries_module, "peak_memory", lambda net, lr, *, run_format, options: asked.append((net, options)) or 7
    )
    assert memory_of(found, LR) == ({entry.key: 7 for entry in found}, [])
    assert asked == [(MODEL, {}), (MODEL, {}), (NET, {"k": 0.0}), (NET, {"k": 0.5})]

    def fails(*_: object, **__: object) -> int:
        raise MGAError("it is gone")

    monkeypatch.setattr(entries_module, "peak_memory", fails)
    assert memory_of(found, LR) == ({}, ["no memory: it is gone"])


def test_torch_compile_is_a_row_and_tells_what_it_took_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda net: net)
    (found,), (note,) = compiled_entry(MODEL, LR, BEST)
    assert (found.name, found.format, found.share, found.macs) == ("torch.compile", BEST, None, count_macs(MODEL, LR))
    assert found.call.run() is None
    assert note == "torch.compile took 0 s to start, at each size anew"


def test_a_compiler_that_fails_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(net: nn.Module) -> Callable[..., Tensor]:
        def run(lr: Tensor) -> Tensor:
            raise RuntimeError("no C++ compiler\nand more")

        return run

    monkeypatch.setattr(torch, "compile", failing)
    assert compiled_entry(MODEL, LR, BEST) == ([], ["torch.compile: no C++ compiler"])
