"""The state of a training: whole or not there, and back bit for bit."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from torch import nn

import mga_wrap as mga
from mga_wrap.train import state as module
from mga_wrap.train.state import (
    STATE,
    State,
    load_optimiser,
    load_state,
    optimiser_tensors,
    save_state,
    under,
    with_prefix,
)

PLAN = {"seed": 0, "stages": [{"name": "a", "steps": 9}, {"name": "b", "steps": 9}]}


def example(value: float) -> State:
    image = torch.full((2, 3, 4, 4), value).to(memory_format=torch.channels_last)
    return State(
        1,
        7,
        {"net.a": image, "net.n": torch.tensor(3), "average.0": torch.rand(2)},
        plan=PLAN,
        best=30.5,
        seconds=2.5,
    )


def same(one: State, two: State) -> bool:
    facts = [(x.stage, x.step, x.plan, x.best, x.seconds) for x in (one, two)]
    return facts[0] == facts[1] and all(
        torch.equal(one.tensors[name], two.tensors[name]) for name in one.tensors | two.tensors
    )


def test_there_and_back(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    for value in (0.1, 0.2):
        state = example(value)
        save_state(state, tmp_path)
        assert same(load_state(tmp_path), state)
    assert [path.name for path in tmp_path.iterdir()] == [STATE]


def test_infinity_and_tied_tensors_are_kept(tmp_path: Path) -> None:
    tied = torch.rand(3)
    save_state(State(0, 0, {"net.a": tied, "net.b": tied}, PLAN), tmp_path)
    state = load_state(tmp_path)
    assert state.best == float("-inf")
    assert torch.equal(state.tensors["net.a"], state.tensors["net.b"])


def test_prefixes_are_put_on_and_taken_off() -> None:
    tensors = {"a.b": torch.rand(1), "c": torch.rand(1)}
    named = with_prefix("net", tensors) | with_prefix("network", tensors)
    assert under("net", named) == tensors


def test_an_optimiser_goes_on_as_if_nothing_had_happened() -> None:
    def make() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        net = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        return net, torch.optim.Adam(net.parameters(), lr=0.1)

    def step(net: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        optimiser.zero_grad()
        net(torch.ones(1, 3, 5, 5)).square().mean().backward()
        optimiser.step()

    net, optimiser = make()
    step(net, optimiser)
    other, fresh = make()
    other.load_state_dict(net.state_dict())
    load_optimiser(fresh, {name: value.clone().contiguous() for name, value in optimiser_tensors(optimiser).items()})
    for pair in ((net, optimiser), (other, fresh)):
        step(*pair)
    assert torch.equal(net.weight, other.weight)
    assert fresh.state[other.weight]["exp_avg"].stride() == other.weight.stride()


@pytest.mark.parametrize("content", [b"", b"no state", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_a_broken_state_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / STATE).write_bytes(content)
    with pytest.raises(mga.CheckpointError, match=r"state.safetensors cannot be read \(\w+: .*\); delete it to"):
        load_state(tmp_path)


def test_a_truncated_state_is_named(tmp_path: Path) -> None:
    save_state(example(0.5), tmp_path)
    content = (tmp_path / STATE).read_bytes()
    (tmp_path / STATE).write_bytes(content[:-10])
    with pytest.raises(mga.CheckpointError, match="cannot be read"):
        load_state(tmp_path)


def test_a_full_disk_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = example(0.1)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as context:
        context.setattr(module.os, "fsync", full)
        with pytest.raises(mga.CheckpointError, match=r"No space left on device\); there was none before: make room"):
            save_state(first, tmp_path)
    save_state(first, tmp_path)
    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(mga.CheckpointError, match=r"No space left on device\); the last complete state is still there"):
        save_state(example(0.2), tmp_path)
    assert same(load_state(tmp_path), first)
    assert [path.name for path in tmp_path.iterdir()] == [STATE]


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_leaves_the_last_state(tmp_path: Path) -> None:
    save_state(first := example(0.1), tmp_path)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(mga.CheckpointError, match="Permission denied"):
            save_state(example(0.2), tmp_path)
        assert same(load_state(tmp_path), first)
    finally:
        tmp_path.chmod(0o700)
