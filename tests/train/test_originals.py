"""The original's outputs on the disk: read again, bounded, and nothing depends on them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from toys.plain import build
from toys.trainings import FINETUNE, equal

import mga_wrap as mga
from mga_wrap.train import crops as drawn
from mga_wrap.train.originals import DIGEST, FOLDER, Originals


class Counted(nn.Module):
    """Counts the images that the original is asked for."""

    def __init__(self, net: mga.MGANet) -> None:
        super().__init__()
        self.net, self.calls, self.scale = net, 0, net.scale

    def forward(self, lr: Tensor, *, k: str) -> Tensor:
        self.calls += len(lr)
        return self.net(lr, k=k)


def cache(folder: Path, *, limit: int = 2**20, change: float = 0.0) -> Originals:
    model = build("LongSkip", 2)
    with torch.no_grad():
        model.head.bias.add_(change)
    found = Originals(folder, original=mga.accelerate(model).eval(), limit=limit, side=8)
    found.original = Counted(found.original)
    return found


def images(seed: int = 0) -> Tensor:
    return torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_what_is_kept_is_not_computed_again(tmp_path: Path) -> None:
    one = cache(tmp_path)
    found = one(images())
    assert one.original.calls == 3
    torch.testing.assert_close(found, one.original.net(images(), k="dense"), atol=1e-3, rtol=1e-3)
    again = cache(tmp_path)
    assert torch.equal(again(images().flip(0)), found.flip(0))
    assert again.original.calls == 0


def test_another_crop_or_another_original_is_another_entry(tmp_path: Path) -> None:
    cache(tmp_path)(images())
    for other, given in ((cache(tmp_path), images(1)), (cache(tmp_path, change=0.1), images())):
        other(given)
        assert other.original.calls == 3


@pytest.mark.parametrize("harm", [b"", b"short", None])
def test_a_broken_entry_is_computed_again(harm: bytes | None, tmp_path: Path) -> None:
    expected = cache(tmp_path)(images())
    (path, *_) = sorted(tmp_path.iterdir())
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if harm is None else harm)
    again = cache(tmp_path)
    assert torch.equal(again(images()), expected)
    assert again.original.calls == 1
    assert path.read_bytes() == content


def test_no_more_is_kept_than_may_be(tmp_path: Path) -> None:
    entry = DIGEST + 2 * 3 * 16 * 16
    for limit, kept in ((0, 0), (entry - 1, 0), (2 * entry, 2)):
        one = cache(tmp_path / str(limit), limit=limit)
        assert torch.equal(one(images()), cache(tmp_path / "all")(images()))
        assert len(list((tmp_path / str(limit)).glob("*"))) == kept
    cache(tmp_path / str(2 * entry), limit=2 * entry)(images(1))
    assert len(list((tmp_path / str(2 * entry)).iterdir())) == 2


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert cache(tmp_path / "file")(images()).shape == (3, 3, 16, 16)


@pytest.mark.slow
def test_the_crops_of_a_taught_stage_come_again(
    make: Callable[..., mga.MGATrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """12 draws of 4 crops: the original runs for 4; deleted or switched off, the training is the same bit for bit."""
    monkeypatch.setattr(drawn, "LEAST", 4)
    monkeypatch.setattr(drawn, "REPEATS", 3)
    stages, computed = (replace(FINETUNE[0], steps=6, batch=2, least_squares=False),), []
    plain = Originals._write

    def write(self: Originals, path: Path, output: Tensor) -> None:
        computed.append(path.name)
        plain(self, path, output)
        if self.folder.parent.name == "deleted":
            shutil.rmtree(self.folder)

    monkeypatch.setattr(Originals, "_write", write)
    nets = []
    for name, options in (("kept", {}), ("deleted", {}), ("off", {"cache_bytes": 0})):
        computed.clear()
        one = make(name, net=mga.accelerate(build("LongSkip", 2)), stages=stages, target="original", **options)
        nets.append(one.fit())
        assert len(set(computed)) == 4
        assert len(computed) == (4 if name == "kept" else 12)
        assert not (one.output_dir / FOLDER).exists()
    assert equal(nets[0], nets[1])
    assert equal(nets[0], nets[2])


@pytest.mark.slow
@pytest.mark.parametrize("kill", [1, 4, 7])
def test_killed_while_it_is_kept_the_training_goes_on_bit_for_bit(
    kill: int, make: Callable[..., mga.MGATrainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn, "LEAST", 8)

    def trainer(name: str) -> mga.MGATrainer:
        net = mga.accelerate(build("LongSkip", 2), coarse_tail="light", p=4)
        return make(name, net=net, stages=FINETUNE, target="original", save_seconds=0.0)

    expected = trainer("whole").fit()
    plain, calls = Originals._write, 0

    def write(self: Originals, path: Path, output: Tensor) -> None:
        nonlocal calls
        calls += 1
        if calls == kill:
            raise KeyboardInterrupt
        plain(self, path, output)

    with monkeypatch.context() as context:
        context.setattr(Originals, "_write", write)
        with pytest.raises(KeyboardInterrupt):
            trainer("killed").fit()
    assert equal(trainer("killed").fit(), expected)


def test_the_size_is_a_number_of_bytes(make: Callable[..., mga.MGATrainer]) -> None:
    with pytest.raises(mga.ArgumentError, match=r"got cache_bytes=-1; expected a whole number of bytes, 0 or more"):
        make(cache_bytes=-1)
