"""Seconds in turn: what counts, for which part, and that the network is left as it was."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
import torch

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.bench import timing
from mga_wrap.bench.timing import PARTS, Call, Timing, time_in_turn
from mga_wrap.nets.mga import MGANet

CPU = torch.device("cpu")


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is one second further each time that it is looked at."""
    ticks = itertools.count()
    monkeypatch.setattr(timing, "_reader_of", lambda *_: lambda: float(next(ticks)))


@pytest.fixture(scope="module")
def net() -> MGANet:
    return accelerate(create_backbone("fsrcnn", scale=2)).eval()


def test_calls_take_turns_and_the_warmup_does_not_count(ticking: None) -> None:
    done: list[str] = []
    calls = {name: Call(lambda name=name: done.append(name)) for name in "ab"}
    timings = time_in_turn(calls, repeats=3, warmup=2, device=CPU)
    assert done == list("ab") * 5
    assert all(timings[name].rounds == (1.0, 1.0, 1.0) for name in "ab")
    assert timings["a"].parts == {}


@pytest.mark.parametrize(
    ("k", "expected"),
    [
        # start, base in and out, mask in and out, refine in and out, end: a second between each of them
        (3, {"base": 3, "mask": 1, "select": 1, "refine": 1, "paste": 1}),
        ("all", {"base": 2, "mask": 0, "select": 1, "refine": 1, "paste": 1}),
        (0, {"base": 3, "mask": 0, "select": 0, "refine": 0, "paste": 0}),
    ],
)
def test_each_second_belongs_to_a_part(k: Any, expected: dict[str, int], net: MGANet, ticking: None) -> None:
    lr = torch.rand(1, 3, 24, 32)
    with torch.inference_mode():
        found = time_in_turn({"net": Call(lambda: net(lr, k=k), net)}, repeats=2, device=CPU)["net"]
    assert found.parts == expected
    assert tuple(found.parts) == PARTS
    assert sum(found.parts.values()) == found.median


def test_no_hook_stays_even_after_an_error(net: MGANet) -> None:
    with pytest.raises(ValueError, match="of shape"):
        time_in_turn({"net": Call(lambda: net(torch.rand(3)), net)}, repeats=1, device=CPU)
    for part in (net.base, net.mask, net.refine):
        assert not part._forward_hooks
        assert not part._forward_pre_hooks


def test_ratios_are_taken_within_a_round() -> None:
    """A machine that gets three times slower halfway does not change them."""
    fast, slow = Timing((1.0, 1.0, 3.0, 3.0), {}), Timing((2.0, 2.0, 6.0, 6.0), {})
    assert slow.over(fast) == 2.0
    assert fast.over(slow) == 0.5
    assert (fast.median, fast.spread) == (2.0, 1.0)
    assert Timing((1.0,), {}).spread == 0.0


def test_the_processors_clock_stands_still_while_the_process_sleeps() -> None:
    calls = {"sleep": Call(lambda: time.sleep(0.1))}
    wall = time_in_turn(calls, repeats=1, warmup=0, device=CPU)["sleep"]
    busy = time_in_turn(calls, repeats=1, warmup=0, device=CPU, clock="processor")["sleep"]
    assert busy.median < 0.05 < 0.1 <= wall.median
