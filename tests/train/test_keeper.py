"""What lies in a training's folder is gone on with, or refused in one sentence."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from toys.plain import build
from toys.trainings import FINETUNE, STAGES, equal, paper_net, rows, smooth

import mga_wrap as mga
from mga_wrap.train.lock import alone_in
from mga_wrap.train.state import FACTS, STATE, load_state, save_state

Make = Callable[..., mga.MGATrainer]
ONE = STAGES[:1]


@pytest.fixture
def begun(make: Make, images: Path) -> Path:
    """The folder of a training whose first stage is done."""
    one = make(stages=ONE, validation=mga.Validation(images, images=1, k=(0, 0.25)))
    one.fit()
    return one.output_dir


def refused(trainer: mga.MGATrainer, message: str) -> None:
    state = (trainer.output_dir / STATE).read_bytes()
    with pytest.raises(mga.CheckpointError, match=message) as caught:
        trainer.fit()
    assert "\n" not in str(caught.value)
    assert (trainer.output_dir / STATE).read_bytes() == state, "it is still there"


def test_what_was_started_otherwise_is_refused(make: Make, begun: Path, images: Path, tmp_path: Path) -> None:
    validation = mga.Validation(images, images=1, k=(0, 0.25))
    holds = r"holds another training \({}\); give what it was started with, or choose another output_dir"
    refused(make(validation=validation, net=paper_net(p=8)), holds.format("the cut: p 4, now 8"))
    refused(make(validation=replace(validation, k=(0,))), holds.format(r"validation: k \[0, 0.25\], now \[0\]"))
    refused(make(validation=None), holds.format("validation on 1 images, now none"))
    refused(make(validation=replace(validation, images=2)), holds.format("validation: image 'b.png' is new"))
    other = smooth(tmp_path / "other")
    with Image.open(other / "b.png") as image:
        image.transpose(Image.Transpose.ROTATE_90).save(other / "b.png")
    refused(make(validation=validation, data=other), holds.format("image 'b.png' has other pixels"))
    (other / "b.png").rename(other / "c.png")
    changed = "image 'b.png' is gone; image 'c.png' is new"
    refused(make(validation=validation, data=other), holds.format(changed))


def test_another_precision_is_refused(make: Make, images: Path) -> None:
    one = make(stages=ONE, precision="no")
    one.fit()
    state = load_state(one.output_dir)
    state.plan["precision"] = "bf16"
    save_state(state, one.output_dir)
    refused(make(precision="no"), r"\(precision bf16, now no\)")


def test_images_in_another_place_are_the_same(make: Make, begun: Path, images: Path, tmp_path: Path) -> None:
    moved = smooth(tmp_path / "moved")
    make(data=moved, validation=mga.Validation(moved, images=1, k=(0, 0.25))).fit()
    assert {row["stage"] for row in rows(begun)} == {"restore", "mask"}


def test_another_original_is_refused(make: Make) -> None:
    def net(change: float) -> mga.MGANet:
        model = build("LongSkip", 2)
        with torch.no_grad():
            model.head.bias.add_(change)
        return mga.accelerate(model)

    make(net=net(0), stages=FINETUNE[:1]).fit()
    refused(make(net=net(0.1), stages=FINETUNE), r"\(the weights of the original network are others: base.head.bias\)")
    make(net=net(0), stages=FINETUNE).fit()


def test_a_net_that_has_learned_is_no_teacher(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started again in the same process, it would teach what it has half learned."""
    stages = (replace(FINETUNE[0], parts=("base", "refine"), least_squares=False),)
    one = make(net=mga.accelerate(build("LongSkip", 2)), stages=stages, target="original")
    whole = copy.deepcopy(one.fit())
    refused(one, r"\(the weights of the original network are others\)")
    again = make(net=mga.accelerate(build("LongSkip", 2)), stages=stages, target="original")
    assert equal(again.fit(), whole)


def test_an_older_state_is_gone_on_with(make: Make, begun: Path, images: Path, tmp_path: Path) -> None:
    """It holds neither the cut nor the images, and its log says lr."""
    state = load_state(begun)
    for name in ("cut", "precision", "validation", "original"):
        del state.plan[name]
    state.plan["images"] = len(state.plan["images"])
    save_state(state, begun)
    log = begun / "log.csv"
    log.write_text(log.read_text().replace(",rate,", ",lr,"))
    before = rows(begun)
    make(validation=mga.Validation(images, images=1, k=(0, 0.25))).fit()
    assert rows(begun)[0] == {("rate" if name == "lr" else name): value for name, value in before[0].items()}
    assert rows(begun)[-1]["stage"] == "mask"
    assert "cut" in load_state(begun).plan


def test_a_second_training_in_the_folder_is_refused_at_once(make: Make, begun: Path, tmp_path: Path) -> None:
    part = begun / ".mga-0.part"
    part.write_text("being written")
    with alone_in(begun):
        refused(make(data=tmp_path / "none"), "out belongs to another training that is running")
    assert part.exists()


def lying(folder: Path, facts: str) -> None:
    """A state whose header says something else."""
    save_file(load_file(folder / STATE), folder / STATE, metadata={FACTS: facts})


def header(folder: Path, **changes: object) -> str:
    state = load_state(folder)
    whole = {"stage": state.stage, "step": state.step, "plan": state.plan, "best": 1.0, "seconds": 1.0}
    return json.dumps({name: value for name, value in {**whole, **changes}.items() if value is not ...})


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"plan": ...},
        {"plan": {}},
        {"plan": []},
        {"plan": {"stages": 3}},
        {"plan": {"stages": [1]}},
        {"plan": {"stages": [{"name": "restore"}], "images": [3]}},
        {"plan": {"stages": [{"name": "restore"}], "images": "many"}},
        {"plan": {"stages": [{"name": "restore"}], "validation": 3}},
        {"stage": "first"},
        {"stage": 7},
        {"stage": -1},
        {"stage": 0, "step": 99},
        {"step": 1.5},
        {"step": 3},
        {"best": None},
        {"seconds": "long"},
    ],
    ids=str,
)
def test_a_header_that_lies_is_one_line(changes: dict[str, object], make: Make, begun: Path, images: Path) -> None:
    lying(begun, header(begun, **changes))
    trainer = make(stages=ONE, validation=mga.Validation(images, images=1, k=(0, 0.25)))
    refused(trainer, r"state.safetensors cannot be (read|gone on with).*; delete it to start again")


def test_a_header_nested_deeply_is_one_line(make: Make, begun: Path) -> None:
    lying(begun, "[" * 100_000 + "]" * 100_000)
    refused(make(), r"state.safetensors cannot be read \(RecursionError: .*\); delete it to start again")


def test_a_broken_log_is_one_line(make: Make, begun: Path, images: Path) -> None:
    validation = mga.Validation(images, images=1, k=(0, 0.25))
    (begun / "log.csv").write_bytes(bytes(range(256)))
    refused(make(validation=validation), r"log.csv cannot be gone on with: .*; move it away, or choose another")
