from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import mga_wrap as mga
from mga_wrap.errors import ArgumentError, CheckpointError
from mga_wrap.networks import load_network
from mga_wrap.networks.load import kind_of
from mga_wrap.networks.plain import list_students, student_for
from mga_wrap.origin import origin_of


@pytest.mark.parametrize("name", ["student", "student-half", "fsrcnn"])
def test_what_is_saved_is_read_back(name: str, tmp_path: Path) -> None:
    net, lr = mga.create_backbone(name, scale=3).eval(), torch.rand(1, 3, 9, 12)
    mga.save_network(net, tmp_path / "net")
    again = load_network(tmp_path / "net")
    with torch.inference_mode():
        assert torch.equal(again(lr), net(lr))
    assert (type(again), again.scale) == (type(net), 3)
    assert kind_of(str(tmp_path / "net")) == "plain"
    assert origin_of(again).name == name


def test_of_an_accelerated_network_it_is_the_original(tmp_path: Path) -> None:
    model, lr = mga.create_backbone("student", scale=2).eval(), torch.rand(1, 3, 12, 12)
    mga.save_network(mga.accelerate(model, split_at=2), tmp_path)
    with torch.inference_mode():
        assert torch.equal(load_network(tmp_path)(lr), model(lr))


def test_networks_of_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"got a Identity; expected what mga_wrap.create_backbone makes"):
        mga.save_network(torch.nn.Identity(), tmp_path / "net")
    paper = mga.accelerate(mga.create_backbone("fsrcnn", scale=2), split_at=3, style="paper")
    with pytest.raises(ArgumentError, match="got a MGANet"):
        mga.save_network(paper, tmp_path / "net")
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"format_version": 2, "network": {"name": "student", "scale": 2}}, "has format 2, this mga_wrap reads 1"),
        ({"format_version": 1, "network": {"name": "studnt", "scale": 2}}, "builds no network.*did you mean 'student'"),
        ({"format_version": 1, "network": {"name": "student", "scale": 9}}, "builds no network.*scale=9"),
        ({"format_version": 1, "network": {"name": "student", "other": 1}}, "builds no network"),
        ({"format_version": 1, "network": {"name": "student-half", "scale": 2}}, "weights of another network"),
        ({"format_version": 1}, "builds no network"),
    ],
)
def test_a_broken_folder_is_refused(config: dict[str, object], text: str, tmp_path: Path) -> None:
    mga.save_network(mga.create_backbone("student", scale=2), tmp_path)
    (tmp_path / "network.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=text):
        load_network(tmp_path)


def test_missing_weights_are_told(tmp_path: Path) -> None:
    mga.save_network(mga.create_backbone("student", scale=2), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model.safetensors cannot be read"):
        load_network(tmp_path)


def test_what_goes_with_no_saved_network(tmp_path: Path) -> None:
    mga.save_network(mga.create_backbone("student", scale=2), tmp_path)
    with pytest.raises(ArgumentError, match=r"network arguments for .*a saved network, which takes none of these"):
        load_network(tmp_path, args={"blocks": 3})
    with pytest.raises(ArgumentError, match="got scale=4 and a model that enlarges by 2"):
        load_network(tmp_path, scale=4)


def test_a_scale_without_a_student_is_refused() -> None:
    with pytest.raises(ArgumentError, match="got a network that enlarges by 8, for which the package has no student"):
        student_for(8)


@pytest.mark.parametrize("name", list_students())
def test_a_student_of_the_package_is_read_by_its_name(name: str) -> None:
    net = load_network(name)
    assert name == f"student-x{net.scale}"
    with torch.inference_mode():
        grey = net(torch.full((1, 3, 24, 24), 0.5))
    assert float((grey[..., 8:-8, 8:-8] - 0.5).abs().max()) < 0.05
