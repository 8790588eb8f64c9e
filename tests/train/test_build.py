"""From a configuration to a network and its trainer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from toys.trainings import equal

import mga_wrap as mga
from mga_wrap.config import CutConfig
from mga_wrap.train.build import build_network, build_trainer
from mga_wrap.train.yaml_config import Config, Network


def network(**options: object) -> Config:
    return Config(Network(**{"backbone": "fsrcnn", "scale": 2, **options}), Path("out"), mga.Data(hr="images"))


def test_a_fresh_network_is_the_same_for_a_seed() -> None:
    before = torch.random.get_rng_state()
    one, two, other = (build_network(replace(network(), seed=seed)) for seed in (0, 0, 1))
    assert equal(one, two)
    assert not equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "params"])
def test_weights_are_loaded(suffix: str, tmp_path: Path) -> None:
    model = mga.create_backbone("fsrcnn", scale=2)
    path = tmp_path / f"a.{suffix}"
    if suffix == "safetensors":
        save_file(model.state_dict(), path)
    else:
        torch.save({"params": model.state_dict()} if suffix == "params" else model.state_dict(), path)
    lr = torch.rand(1, 3, 9, 9)
    with torch.no_grad():
        assert torch.equal(build_network(network(weights=path))(lr, k="dense"), model.eval()(lr))


def test_training_goes_on_from_a_pretrained_network(tmp_path: Path) -> None:
    net = build_network(network())
    net.save_pretrained(tmp_path)
    config = network(backbone=None, scale=None, pretrained=str(tmp_path))
    assert equal(build_network(config), net)
    with pytest.raises(mga.ArgumentError, match="a pretrained network is cut already; leave this section out"):
        build_network(replace(config, accelerate=CutConfig(p=8)))


def test_a_pair_that_makes_no_image_is_told(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = mga.create_backbone("student-half", scale=2)
    with torch.no_grad():
        small.upsampler[0].weight.normal_(0, 9)
    mga.save_network(small, tmp_path / "small")
    config = replace(network(base=str(tmp_path / "small")), accelerate=CutConfig(p=16, halo=4))
    with pytest.warns(mga.RangeWarning, match="the base, HalfStudent, makes no image of a picture in 0..1"):
        build_network(config)


def test_another_scale_is_a_start(tmp_path: Path) -> None:
    cut = CutConfig(split_at=14, coarse_tail="light")
    trained = build_network(replace(network(backbone="pan", scale=4), accelerate=cut, seed=1))
    trained.save_pretrained(tmp_path)
    given = trained.state_dict()
    fresh = build_network(replace(network(backbone="pan"), accelerate=cut)).state_dict()
    started = build_network(replace(network(backbone="pan", start=str(tmp_path)), accelerate=cut)).state_dict()
    alone = [name for name in started if name not in given or given[name].shape != started[name].shape]
    assert alone == ["base.coarse_tail.last.weight", "base.coarse_tail.last.bias"]
    for name, value in started.items():
        expected = (fresh if name in alone else given)[name]
        assert torch.allclose(value, expected, rtol=0, atol=0, equal_nan=True)


def test_a_network_that_is_not_cut_is_a_start(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        trained = mga.create_backbone("student-half", scale=4)
    mga.save_network(trained, tmp_path)
    wanted = network(backbone="student-half", start=str(tmp_path))
    for cut in (CutConfig(split_at=1, coarse_tail="light"), CutConfig(split_at=1, style="paper")):
        started = build_network(replace(wanted, accelerate=cut)).state_dict()
        given = {name: value for name, value in trained.state_dict().items() if "body" in name}
        assert given
        for name, value in given.items():
            places = [key for key in started if key.endswith(name)]
            assert any(torch.equal(started[key], value) for key in places), name
    with pytest.raises(mga.ArgumentError, match=r"expected the same backbone, cut at the same place .*, or not cut"):
        build_network(network(backbone="pan", start=str(tmp_path)))


def test_another_network_is_no_start(tmp_path: Path) -> None:
    build_network(network()).save_pretrained(tmp_path)
    with pytest.raises(mga.ArgumentError, match="expected the same backbone, cut at the same place in the same style"):
        build_network(network(backbone="pan", start=str(tmp_path)))
    with pytest.raises(mga.ArgumentError, match="expected one of start, weights, pretrained"):
        build_network(network(start=str(tmp_path), weights=tmp_path / "a.pth"))


def test_networks_that_are_not_enough() -> None:
    expected = "expected one of spec, backbone, pretrained"
    with pytest.raises(mga.ArgumentError, match=f"network: got none of them; {expected}"):
        build_network(network(backbone=None))
    with pytest.raises(mga.ArgumentError, match=f"network: got spec and backbone; {expected}"):
        build_network(network(spec="pan"))
    with pytest.raises(mga.ArgumentError, match="network lacks 'scale'; expected 2, 3 or 4"):
        build_network(network(scale=None))
    with pytest.raises(mga.ArgumentError, match="did you mean 'fsrcnn'"):
        build_network(network(backbone="fsrcn"))


NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, blocks=4):
        body = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()) for _ in range(blocks)]
        super().__init__(nn.Conv2d(3, 8, 3, padding=1), nn.Sequential(*body), nn.Conv2d(8, 12, 3, padding=1),
                         nn.PixelShuffle(2))
"""


def test_code_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "net_of_mine.py").write_text(NET)
    spec = {"backbone": None, "scale": None, "spec": f"{tmp_path}/net_of_mine.py:Net", "args": {"blocks": 6}}
    one, two = (build_network(network(**spec)) for _ in range(2))
    assert one.geometry.blocks[1] == 6
    assert equal(one, two), "untrained layers start from the seed"
    assert not equal(one, build_network(replace(network(**spec), seed=1)))
    one.save_pretrained(tmp_path / "net")
    saved = {"backbone": None, "scale": 2, "spec": str(tmp_path / "net"), "args": {"blocks": 6}}
    assert equal(build_network(network(**saved, original=spec["spec"])), one)
    with pytest.raises(mga.CheckpointError, match=r"made from the code net_of_mine.py:Net .*; give that"):
        build_network(network(backbone=None, scale=None, pretrained=str(tmp_path / "net")))
    with pytest.raises(mga.ArgumentError, match="got scale=4 and a model that enlarges by 2"):
        build_network(network(**{**saved, "scale": 4}, original=spec["spec"]))


@pytest.mark.parametrize("key", ["backbone", "spec"])
def test_a_backbone_by_either_key(key: str, tmp_path: Path) -> None:
    assert equal(build_network(network(**{"backbone": None, key: "fsrcnn"})), build_network(network()))
    with pytest.raises(mga.ArgumentError, match="network lacks 'scale'"):
        build_network(network(**{"backbone": None, "scale": None, key: "fsrcnn"}))


ABLATIONS = [
    ({"mask": {"dynamic": False}}, lambda net: net.mask.kernel is None),  # Table 2
    ({"mask": {"map_channels": 1}}, lambda net: net.mask.conv2.out_channels == 1),  # Table 8
    ({"p": 2, "k": 960}, lambda net: (net.p, net.k) == (2, 960)),  # Table 10
    ({"p": 8, "k": 60}, lambda net: (net.p, net.k) == (8, 60)),
]


@pytest.mark.parametrize(("cut", "holds"), ABLATIONS)
def test_the_papers_ablations_are_options_that_are_saved(cut: dict[str, object], holds: object, tmp_path: Path) -> None:
    net = build_network(replace(network(), accelerate=CutConfig(style="paper", **cut)))
    assert holds(net)
    net.save_pretrained(tmp_path)
    again = mga.from_pretrained(tmp_path)
    assert holds(again)
    assert equal(again, net)


def test_unknown_options_of_the_mask_are_named() -> None:
    with pytest.raises(
        mga.ArgumentError, match=r"mask: got 'dynamics'; expected one of kind, dynamic, .*mean 'dynamic'"
    ):
        build_network(replace(network(), accelerate=CutConfig(mask={"dynamics": True})))


def test_the_trainer_gets_all_that_the_configuration_says() -> None:
    given = {"target": "original", "seed": 3, "device": "cpu", "precision": "no", "save_seconds": 5.0}
    config = replace(network(), stages="finetune", validation=mga.Validation("val", every=7), tensorboard=True, **given)
    trainer = build_trainer(config)
    assert {name: getattr(trainer, name) for name in given} == given
    assert (trainer.data, trainer.validation, trainer.output_dir) == (config.data, config.validation, Path("out"))
    assert (trainer.stages, trainer.tensorboard) == (mga.FINETUNE_STAGES, True)
