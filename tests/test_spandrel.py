"""One file: spandrel's loader returns the accelerated network, difference 0.0, or the file is refused."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spandrel
import torch
from safetensors.torch import load_file, save_file
from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact
from spandrel.architectures.SPAN.__arch.span import SPAN
from toys.plain import build

import mga_wrap as mga
from mga_wrap.backbones.fsrcnn import FSRCNN
from mga_wrap.cli import app
from mga_wrap.networks import load_network
from mga_wrap.pictures.synthetic import synthetic
from mga_wrap.spandrel import CONFIG, ORIGINALS, install, is_single_file

pytestmark = pytest.mark.filterwarnings(
    "ignore::mga_wrap.errors.UnfittedWarning", "ignore::mga_wrap.errors.CostWarning"
)


@pytest.fixture
def loader() -> spandrel.ModelLoader:
    registry = spandrel.MAIN_REGISTRY.copy()
    install(registry)
    return spandrel.ModelLoader(registry=registry)


def compact(*, channels: int = 8) -> SRVGGNetCompact:
    torch.manual_seed(0)
    model = SRVGGNetCompact(num_feat=channels, num_conv=4, upscale=2).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(0.3)  # so it makes an image of lr, as a pair has to
    return model


def pair() -> mga.MGANet:
    return mga.accelerate(compact(channels=12), base=compact(), p=16, halo=2)


def pair_with_backbone() -> mga.MGANet:
    return mga.accelerate(compact(), base=load_network("student", scale=2), p=16, halo=2)


NETWORKS: dict[str, Callable[[], mga.MGANet]] = {
    "shipped, paper": lambda: mga.from_pretrained("fsrcnn-m-x2"),
    "backbone": lambda: mga.accelerate(mga.create_backbone("fsrcnn", scale=2)),
    "spandrel's, copy": lambda: mga.accelerate(compact(), split_at=2),
    "spandrel's, light": lambda: mga.accelerate(compact(), split_at=2, coarse_tail="light", k=3),
    "pair of spandrel's": pair,
    "pair with a backbone": lambda: mga.accelerate(
        compact(), base=mga.create_backbone("fsrcnn", scale=2), p=16, halo=2
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_spandrel_returns_the_accelerated_network(name: str, tmp_path: Path, loader: spandrel.ModelLoader) -> None:
    net, file = NETWORKS[name]().eval(), tmp_path / "net.safetensors"
    with torch.no_grad():
        for weight in net.parameters():  # as a training leaves them: no two parts hold the same any more
            weight.mul_(1 + 0.01 * torch.rand_like(weight))
    mga.save_single_file(net, file)
    found = loader.load_from_file(file)
    assert isinstance(found, spandrel.ImageModelDescriptor)
    assert (found.scale, found.input_channels, found.output_channels, found.purpose) == (2, 3, 3, "SR")
    assert found.architecture.id == "mga_wrap"
    lr = synthetic(37, 45)
    with torch.no_grad():
        for k in (None, 0, 0.3, "all", "dense"):
            assert torch.equal(found.model(lr, k=k), net(lr, k=k))  # type: ignore[operator]
        assert torch.equal(found(lr), net(lr).clamp(0, 1))
    assert found.model.config == net.config
    assert found.model.origin == net.origin
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_tensors_that_a_forward_does_not_use_come_from_the_original(
    tmp_path: Path, loader: spandrel.ModelLoader
) -> None:
    torch.manual_seed(0)
    model = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2).eval()
    net, file = mga.accelerate(model, split_at=2).eval(), tmp_path / "net.safetensors"
    with pytest.raises(mga.CheckpointError, match=r"spandrel does not know .* give save_single_file original="):
        mga.save_single_file(net, file)
    assert not file.exists()
    mga.save_single_file(net, file, original=model)
    lr = synthetic(24, 32)
    with torch.no_grad():
        assert torch.equal(loader.load_from_file(file).model(lr), net(lr))  # type: ignore[operator]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["realesr-animevideov3-x4.safetensors", "realesrgan-x4plus-anime-6b-fp16.safetensors"])
def test_public_networks(name: str, shared: Path, tmp_path: Path, loader: spandrel.ModelLoader) -> None:
    net = mga.accelerate(load_network(shared / "weights" / name)).eval()
    mga.save_single_file(net, tmp_path / "net.safetensors")
    lr = synthetic(36, 44)
    with torch.no_grad():
        found = loader.load_from_file(tmp_path / "net.safetensors").model
        assert torch.equal(found(lr, k=0.3), net(lr, k=0.3))  # type: ignore[operator]


def test_in_every_loader_of_the_process(tmp_path: Path) -> None:
    install()
    install()  # twice changes nothing
    assert [one.architecture.id for one in spandrel.MAIN_REGISTRY].count("mga_wrap") == 1
    assert spandrel.MAIN_REGISTRY.architectures("detection")[0].architecture.id == "mga_wrap"
    mga.save_single_file(mga.from_pretrained("fsrcnn-m-x2"), tmp_path / "net.safetensors")
    assert isinstance(spandrel.ModelLoader().load_from_file(tmp_path / "net.safetensors").model, mga.MGANet)


def test_by_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "net.safetensors"
    mga.save_single_file(mga.from_pretrained("fsrcnn-m-x2"), file)
    net = load_network(file)
    assert isinstance(net, mga.MGANet)
    assert net.config == mga.from_pretrained("fsrcnn-m-x2").config
    app(["inspect", str(file)], standalone_mode=False)
    assert "x2" in capsys.readouterr().out
    save_file(compact().state_dict(), tmp_path / "plain.safetensors")
    assert not is_single_file(tmp_path / "plain.safetensors")
    assert type(load_network(tmp_path / "plain.safetensors")) is SRVGGNetCompact


# Bad input -----------------------------------------------------------------------------------------------------------


def as_bytes(value: object) -> torch.Tensor:
    return torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)


def config(**changes: object) -> Callable[[dict[str, torch.Tensor]], Any]:
    """A change of what the config says."""

    def change(tensors: dict[str, torch.Tensor]) -> None:
        said = json.loads(tensors[CONFIG].numpy().tobytes())
        tensors[CONFIG] = as_bytes({**said, **changes})

    return change


NAMES = {"model": ["body.0.weight", "mga_wrap.config"]}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (config(evil=1), "holds 'evil', which format 2 has not"),
        (config(format_version=99), "has format 99, this mga_wrap reads up to"),
        (config(scale="2"), "got scale=2; expected a whole number"),
        (config(scale=4), "says scale 4, its network enlarges by 2"),
        (config(backbone={"name": "fsrcnn", "scale": 2}), "builds no network: got split_at='body.4'"),
        (lambda x: x.update({CONFIG: x[CONFIG].float()}), "lacks mga_wrap.config, bytes"),
        (lambda x: x.update({CONFIG: as_bytes([1])}), "holds a list"),
        (lambda x: x.update({CONFIG: torch.zeros(2_000_000, dtype=torch.uint8)}), "more than 1,000,000 bytes"),
        (lambda x: x.update({ORIGINALS: as_bytes({})}), "does not say of which tensors its original is"),
        (lambda x: x.update({ORIGINALS: as_bytes({"model": 3})}), "something else than names of tensors"),
        (lambda x: x.update({ORIGINALS: as_bytes({"model": ["gone"]})}), "lacks the tensor 'gone'"),
        (lambda x: x.update({ORIGINALS: as_bytes(NAMES)}), "lacks the tensor 'mga_wrap.config'"),
        (lambda x: x.update({ORIGINALS: as_bytes({"model": ["body.0.weight"]})}), "spandrel does not know the network"),
        (lambda x: x["mask.mean"].fill_(torch.nan), "NaN or infinity in mask.mean"),
        (lambda x: x.update({"more": torch.zeros(1)}), "has also more"),
        (lambda x: x.pop("mask.mean"), "lacks mask.mean"),
    ],
)
def test_a_file_that_was_changed_is_refused(
    change: Callable[[dict[str, torch.Tensor]], Any], text: str, tmp_path: Path, loader: spandrel.ModelLoader
) -> None:
    file = tmp_path / "net.safetensors"
    mga.save_single_file(NETWORKS["spandrel's, copy"](), file)
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file)
    with pytest.raises(mga.CheckpointError, match=text):
        loader.load_from_file(file)
    with pytest.raises(mga.CheckpointError, match=text):
        load_network(file)


def test_what_cannot_be_one_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, file = mga.from_pretrained("fsrcnn-m-x2"), tmp_path / "net.safetensors"
    with pytest.raises(mga.ArgumentError, match=r"net\.pth; expected the name of a \.safetensors file"):
        mga.save_single_file(net, tmp_path / "net.pth")
    with pytest.raises(mga.ArgumentError, match="got FSRCNN; expected an accelerated network"):
        mga.save_single_file(FSRCNN(scale=2), file)  # type: ignore[arg-type]
    own = mga.accelerate(build("LongSkip", 2))
    with pytest.raises(mga.CheckpointError, match=r"spandrel does not know the network.*save_pretrained a folder"):
        mga.save_single_file(own, file)
    (tmp_path / "taken").write_text("a file, where a folder would be")
    with pytest.raises(mga.CheckpointError, match="cannot be written"):
        mga.save_single_file(net, tmp_path / "taken" / "net.safetensors")
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "spandrel":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    mga.save_single_file(net, file)  # of a backbone: nothing of spandrel's is needed
    for needs in (install, lambda: mga.save_single_file(own, file)):
        with pytest.raises(mga.MGAError, match=r"needs spandrel, which is not installed; pip install 'mga-wrap\[span"):
            needs()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.safetensors", "taken"]
