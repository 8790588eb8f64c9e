"""The configuration: every wrong file is refused in one line that says where and what was expected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import mga_wrap as mga
from mga_wrap.config import CutConfig
from mga_wrap.train.build import build_network
from mga_wrap.train.yaml_config import Config, Network, read_config

LEAST = "network: {backbone: fsrcnn, scale: 2}\ndata: {hr: images}\noutput_dir: out\n"
STAGE = "{name: a, parts: [mask], losses: {mask_l1: 1}, steps: 9, batch: 1, crop: 8, rate: 1e-3}"


@pytest.fixture
def read(tmp_path: Path) -> object:
    """Reads a configuration from text."""

    def from_text(text: str, *, changes: tuple[str, ...] = ()) -> Config:
        (tmp_path / "a.yaml").write_text(text)
        return read_config(tmp_path / "a.yaml", changes=changes)

    return from_text


def test_the_least(read: object) -> None:
    config = read(LEAST)
    assert config == Config(Network(backbone="fsrcnn", scale=2), Path("out"), mga.Data(hr="images"))
    assert config.chosen_stages() is None


def test_everything(read: object) -> None:
    text = LEAST.replace("{hr: images}", "{hr: images, lr: small, detail: 1, workers: 2}") + (
        "accelerate: {split_at: body.1, k: 240, p: 8, halo: exact, style: pretrained, coarse_tail: light,"
        " mask: {dynamic: false}}\n"
        "validation: {hr: val, images: 3, every: 100, k: [0, 0.1, all, dense]}\n"
        "stages: paper\ntarget: original\nseed: 3\ndevice: cpu\nprecision: bf16\ntensorboard: true\nsave_seconds: 5\n"
    )
    config = read(text)
    assert config.data == mga.Data(hr="images", lr="small", detail=1.0, workers=2)
    assert config.accelerate == CutConfig("body.1", 240, 8, "exact", "pretrained", "light", {"dynamic": False})
    assert config.validation == mga.Validation("val", images=3, every=100, k=(0, 0.1, "all", "dense"))
    assert config.chosen_stages() == mga.PAPER_STAGES
    others = config.target, config.seed, config.device, config.precision, config.tensorboard, config.save_seconds
    assert others == ("original", 3, "cpu", "bf16", True, 5.0)


@pytest.mark.parametrize("said", ["no", "'no'"])
def test_no_is_a_precision_in_yaml_too(read: object, said: str) -> None:
    assert read(LEAST + f"precision: {said}").precision == "no"
    assert read(LEAST, changes=(f"precision={said}",)).precision == "no"


def test_stages_of_a_set_are_changed_and_chosen(read: object) -> None:
    found = read(LEAST + "stages: {set: paper, change: {mask: {steps: 7, rate: 1e-3}}, only: [mask]}").chosen_stages()
    assert found == (replace(mga.PAPER_STAGES[1], steps=7, rate=1e-3),)


def test_stages_are_written_out(read: object) -> None:
    (stage,) = read(LEAST + f"stages: [{STAGE}]").chosen_stages()
    assert stage == mga.Stage("a", ("mask",), {"mask_l1": 1.0}, steps=9, batch=1, crop=8, rate=1e-3)


def test_values_are_replaced_from_the_command_line(read: object) -> None:
    changes = (
        "accelerate.p=8",
        "stages.set=paper",
        "stages.change.mask.steps=5",
        "output_dir=other",
        "validation=null",
    )
    config = read(LEAST + "validation: {hr: val}", changes=changes)
    assert (config.accelerate.p, config.output_dir, config.validation) == (8, Path("other"), None)
    assert config.chosen_stages()[1].steps == 5


WRONG = [
    ("", r"the file: got None; expected keys and values: network, output_dir, data,"),
    ("[1, 2]", r"the file: got \[1, 2\]; expected keys and values"),
    ("a: [", r"is no YAML"),
    ("data: {hr: images}\noutput_dir: out\n", r"the file lacks 'network'"),
    (LEAST + "ouput_dir: a\n", r"the file: got the key 'ouput_dir'; expected one of .*; did you mean 'output_dir'\?"),
    (LEAST + "1: a\n", r"the file: got the key 1"),
    (LEAST + "accelerate: {split: 3}\n", r"accelerate: got the key 'split'; .*did you mean 'split_at'"),
    (LEAST + "accelerate: [3]\n", r"accelerate: got \[3\]; expected keys and values"),
    (LEAST + "accelerate: {style: papers}\n", r"accelerate.style: got 'papers'; expected one of .*mean 'paper'"),
    (
        LEAST + "accelerate: {split_at: [1]}\n",
        r"accelerate.split_at: got \[1\]; expected text or a whole number",
    ),
    (LEAST + "accelerate: {p: 4.5}\n", r"accelerate.p: got 4.5; expected a whole number"),
    (LEAST + "seed: one\n", r"seed: got 'one'; expected a whole number"),
    (LEAST + "seed: true\n", r"seed: got True; expected a whole number"),
    (LEAST + "tensorboard: 1\n", r"tensorboard: got 1; expected true or false"),
    (LEAST + "save_seconds: soon\n", r"save_seconds: got 'soon'; expected a number"),
    (LEAST + "output_dir: 3\n", r"output_dir: got 3; expected a path"),
    (LEAST + "target: orginal\n", r"target: got 'orginal'; expected one of hr, original; did you mean 'original'"),
    (LEAST + "validation: {hrs: 3}\n", r"validation: got the key 'hrs'; expected one of hr, lr, images, every, k; did"),
    (LEAST + "validation: {hr: val, k: 3}\n", r"validation.k: got 3; expected a list"),
    (LEAST + "validation: {hr: val, k: [some]}\n", r"got k='some'; expected an int >= 0"),
    (LEAST + "validation: {hr: val, every: 0}\n", r"got images=6, every=0; expected both at least 1"),
    (LEAST + "stages: papers\n", r"got the stages 'papers'; .*did you mean 'paper'"),
    (LEAST + "stages: {set: paper, only: [masks]}\n", r"stages.only: got 'masks'; expected one of restore, mask; did"),
    (LEAST + "stages: {set: paper, change: {mask: {step: 5}}}\n", r"stage 'mask': got 'step'; .*mean 'steps'"),
    (LEAST + "stages: {set: paper, change: {mask: 5}}\n", r"stages.change.mask: got 5; expected keys and values"),
    (
        LEAST + "stages: {set: paper, change: {mask: {rate: fast}}}\n",
        r"stages.change.mask.rate: got 'fast'; expected a n",
    ),
    (LEAST + f"stages: [{STAGE.replace('steps', 'stebs')}]\n", r"stages\[0\]: got the key 'stebs'; .*mean 'steps'"),
    (LEAST + f"stages: [{STAGE.replace('1e-3', '-1')}]\n", r"stage 'a': got rate=-1.0; expected 0 <= rate < 1"),
    (LEAST + f"stages: [{STAGE.replace('[mask]', 'mask')}]\n", r"stages\[0\].parts: got 'mask'; expected a list"),
    (LEAST.replace("hr: images", "hd: images"), r"data: got the key 'hd'; expected one of hr, lr, detail, workers"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_wrong_files(text: str, message: str, read: object) -> None:
    text = text.replace("output_dir: out\n", "") if text.count("output_dir") > 1 and "ouput" not in text else text
    with pytest.raises(mga.ArgumentError, match=rf"a.yaml.*{message}"):
        read(text)


@pytest.mark.parametrize("change", ["accelerate.p", "=3", "accelerate..p=3", "seed.a=3"])
def test_wrong_changes(change: str, read: object) -> None:
    with pytest.raises(mga.ArgumentError, match=r"got the change '.*'; .*(KEY=VALUE|does not hold keys and values)"):
        read(LEAST + "seed: 3", changes=(change,))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.yaml"):
        with pytest.raises(mga.ArgumentError, match=r"cannot be read \(.*\); expected a configuration as YAML"):
            read_config(path)


CONFIGS = sorted((Path(__file__).resolve().parents[2] / "examples/configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_the_examples_are_understood(path: Path) -> None:
    config = read_config(path)
    trained = {f"{read_config(other).output_dir}/last" for other in CONFIGS} | {*mga.list_pretrained()}
    assert (config.network.backbone in mga.list_backbones()) != (config.network.pretrained in trained)
    assert config.data.hr == Path("../shared/data/train/open")
    if path.stem in ("fsrcnn-x4", "pan-m-x2"):  # one of each style of upsampler; the deep ones take long
        trainer = mga.MGATrainer(build_network(config), config.data, stages=config.chosen_stages(), output_dir="unused")
        assert trainer.net.config.style == config.accelerate.style
