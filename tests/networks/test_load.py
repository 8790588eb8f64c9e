"""`load_network`: every way in which a user says which network is meant."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import mga_wrap as mga
from mga_wrap.networks import load_network
from mga_wrap.origin import file_digest, origin_of

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, blocks=4, scale=2):
        super().__init__()
        self.head = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Sequential(*[nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()) for _ in range(blocks)])
        self.tail = nn.Sequential(nn.Conv2d(8, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))

    def forward(self, lr):
        x = self.head(lr)
        return self.tail(x + self.body(x))

class Other(Net):
    pass

class NoSR(nn.Linear):
    def __init__(self):
        super().__init__(3, 3)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compact(seed: int = 0) -> nn.Module:
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.manual_seed(seed)
    return SRVGGNetCompact(num_feat=8, num_conv=4, upscale=2).eval()


def lr() -> torch.Tensor:
    return torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(3))


def dense_as(net: nn.Module, model: nn.Module) -> bool:
    with torch.no_grad():
        return torch.equal(net(lr(), k="dense"), model(lr()))


# Names ---------------------------------------------------------------------------------------------------------------


def test_backbones(folder: Path) -> None:
    assert load_network("fsrcnn").scale == 4
    model = load_network("fsrcnn", scale=2)
    assert (model.scale, model.training) == (2, False)
    assert (origin_of(model).kind, origin_of(model).name, origin_of(model).args) == ("backbone", "fsrcnn", {"scale": 2})
    torch.save(model.state_dict(), "w.pth")
    again = load_network("fsrcnn", scale=2, weights="w.pth")
    with torch.no_grad():
        assert torch.equal(again(lr()), model(lr()))
    assert (origin_of(again).weights, origin_of(again).sha256) == ("w.pth", file_digest(Path("w.pth")))


def test_accelerated_networks(folder: Path) -> None:
    net = load_network("fsrcnn-m-x2")
    assert isinstance(net, mga.MGANet)
    net.save_pretrained("fsrcnn")  # a folder of a saved network is meant where it has a backbone's name
    assert isinstance(load_network("fsrcnn"), mga.MGANet)
    assert isinstance(load_network(folder / "fsrcnn", scale=2), mga.MGANet)
    with pytest.raises(mga.ArgumentError, match="got scale=4 and a model that enlarges by 2; leave one of"):
        load_network("fsrcnn-m-x2", scale=4)


def test_a_folder_of_a_backbones_name_that_holds_no_network(folder: Path) -> None:
    (folder / "pan").mkdir()
    assert type(load_network("pan")).__name__ == "PAN"


@pytest.mark.parametrize(
    ("spec", "error", "text"),
    [
        (
            "pna",
            mga.ArgumentError,
            r"got 'pna'; expected one of fsrcnn, pan.*did you mean 'pan'\?; or a folder, a file",
        ),
        ("./nowhere/net", mga.CheckpointError, r"net is no folder; expected one with model.safetensors"),
        ("nowhere/net", mga.CheckpointError, r"nowhere/net is no folder here; on the Hub: config.json of nowhere/net"),
        ("nowhere/net:net.safetensors", mga.CheckpointError, r"net.safetensors of nowhere/net is not in the cache"),
        ("nowhere/net.pth", mga.CheckpointError, r"net.pth cannot be read: there is no such file; check the path"),
        ("net.py", mga.ArgumentError, r"got net.py; expected the name of what makes the network, too: net.py:Factory"),
        ("none.py:Net", mga.ArgumentError, r"got none.py; there is no such file"),
        (3, mga.ArgumentError, r"got a int; expected a backbone's name, .* or code: package.module:Factory"),
    ],
)
def test_what_is_none(spec: object, error: type[Exception], text: str, folder: Path) -> None:
    with pytest.raises(error, match=text):
        load_network(spec)


@pytest.mark.parametrize(
    ("spec", "more", "text"),
    [
        (
            "pan",
            {"args": {"a": 1}},
            "got network arguments for pan, a backbone, which takes a file of weights; leave out",
        ),
        ("pan", {"original": "pan"}, "got an original for pan, a backbone"),
        (
            "fsrcnn-m-x2",
            {"weights": "w.pth"},
            "got a file of weights for fsrcnn-m-x2, an accelerated network, which take",
        ),
        ("fsrcnn-m-x2", {"args": {"a": 1}}, "got network arguments for fsrcnn-m-x2"),
        ("net.py:Net", {"original": "pan"}, "got an original for net.py:Net, code, which takes network arg"),
        ("a.pth", {"weights": "a.pth"}, "got a file of weights for a.pth, a file, which takes none of these"),
        ("fsrcnn-m-x2", {"original": "fsrcnn-m-x2"}, "got fsrcnn-m-x2 as the original, which is accelerated itself"),
    ],
)
def test_what_does_not_go_together(spec: str, more: dict[str, object], text: str, folder: Path) -> None:
    (folder / "a.pth").write_bytes(b"")
    with pytest.raises(mga.ArgumentError, match=text):
        load_network(spec, **more)


# Code ----------------------------------------------------------------------------------------------------------------


def test_code_with_arguments_and_weights(folder: Path) -> None:
    one = load_network("net.py:Net", args={"blocks": 3})
    torch.save(one.state_dict(), "w.pth")
    two = load_network("net.py:Net", args={"blocks": 3}, weights="w.pth")
    with torch.no_grad():
        assert torch.equal(one(lr()), two(lr()))
    with pytest.raises(mga.CheckpointError, match=r"w.pth holds the weights of another network than Net: .*body.3"):
        load_network("net.py:Net", weights="w.pth")


def test_a_module_that_is_no_sr_network_is_told_where_it_is_used(folder: Path) -> None:
    model = load_network("net.py:NoSR")
    for use in (mga.accelerate, mga.inspect):
        with pytest.raises(mga.CutError, match="NoSR fails on an image of"):
            use(model)
    with pytest.raises(mga.ArgumentError, match="NoSR failed on lr of shape"):
        mga.upscale(lr(), model=model)


# Saved, and known again ----------------------------------------------------------------------------------------------


@pytest.fixture
def of_code(folder: Path) -> nn.Module:
    """net/, made from code with arguments; w.pth, its weights."""
    model = load_network("net.py:Net", args={"blocks": 3})
    torch.save(model.state_dict(), "w.pth")
    mga.accelerate(load_network("net.py:Net", args={"blocks": 3}, weights="w.pth")).save_pretrained("net")
    return model


def test_the_config_says_where_it_came_from(of_code: nn.Module) -> None:
    config = json.loads(Path("net/config.json").read_text())
    assert config["format_version"] == 2
    assert {name: value for name, value in config["original"].items() if name != "fingerprint"} == {
        "kind": "code",
        "name": "net.py:Net",
        "args": {"blocks": 3},
        "weights": "w.pth",
        "sha256": file_digest(Path("w.pth")),
        "class_name": "Net",
    }


def test_from_code_and_back(of_code: nn.Module) -> None:
    net = load_network("net", original="net.py:Net", args={"blocks": 3})
    assert dense_as(net, of_code)
    assert dense_as(load_network("net", original="net.py:Net", args={"blocks": 3}, weights="w.pth"), of_code)
    net.save_pretrained("again")  # what is read and written again still says so
    assert Path("again/config.json").read_text() == Path("net/config.json").read_text()


def test_another_factory_or_other_weights_are_refused(of_code: nn.Module) -> None:
    expected = r'expected the code net.py:Net with the arguments {"blocks": 3} and the weights w.pth, from which it was'
    for original, args in (("net.py:Other", {"blocks": 3}), ("net.py:Net", {"blocks": 4}), ("fsrcnn", None)):
        with pytest.raises(mga.CheckpointError, match=rf"got the .* for net; {expected}"):
            load_network("net", original=original, args=args)
    torch.save(load_network("net.py:Net", args={"blocks": 3}).state_dict(), "other.pth")
    with pytest.raises(mga.CheckpointError, match=rf"and the weights other.pth for net; {expected}"):
        load_network("net", original="net.py:Net", args={"blocks": 3}, weights="other.pth")
    with pytest.raises(mga.CheckpointError, match=r"net was made from the code net.py:Net .*; give that: .*--original"):
        load_network("net")


def test_from_a_file_and_back(folder: Path) -> None:
    model = compact()
    torch.save(model.state_dict(), "compact.pth")
    net = mga.accelerate(load_network("compact.pth"), split_at=1)
    net.save_pretrained("net")
    (folder / "elsewhere").mkdir()
    Path("compact.pth").rename("elsewhere/renamed.pth")
    again = load_network("net", original="elsewhere/renamed.pth")
    assert dense_as(again, model)
    assert again.origin == net.origin
    torch.save({"params": model.state_dict()}, "repacked.pth")  # another hash, the same weights
    assert dense_as(load_network("net", original="repacked.pth"), model)
    assert dense_as(mga.from_pretrained("net", model=compact(seed=5)), model)  # the code alone
    torch.save(compact(seed=1).state_dict(), "compact.pth")
    with pytest.raises(
        mga.CheckpointError, match=r"got the file compact.pth \(sha256 \w+...\) for net; expected the file compact.pth"
    ):
        load_network("net", original="compact.pth")
    with pytest.raises(mga.CheckpointError, match=r"net was made from the file compact.pth \(sha256 .*; give that"):
        mga.from_pretrained("net")


@pytest.mark.slow
def test_a_real_file_and_back(shared: Path, folder: Path) -> None:
    file = shared / "weights" / "realesrgan-x4plus-anime-6b-fp16.safetensors"
    mga.accelerate(load_network(file), split_at=2).save_pretrained("net")
    assert load_network("net", original=file, scale=4).scale == 4
    with pytest.raises(
        mga.CheckpointError, match=r"got the file realesr-animevideov3-x4.*; expected the file realesrgan-"
    ):
        load_network("net", original=shared / "weights" / "realesr-animevideov3-x4.safetensors")


def test_nothing_that_a_checkpoint_names_is_imported(
    of_code: nn.Module, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "evil_of_the_checkpoint.py").write_text("open('ran', 'w').close()\nfrom net import Net\n")
    monkeypatch.syspath_prepend(str(folder))
    config = json.loads(Path("net/config.json").read_text())
    for name in ("evil_of_the_checkpoint:Net", "evil_of_the_checkpoint.py:Net"):
        config["original"] |= {"name": name}
        Path("net/config.json").write_text(json.dumps(config))
        with pytest.raises(mga.CheckpointError, match=r"net was made from the code evil_of"):
            mga.from_pretrained("net")
        with pytest.raises(mga.CheckpointError, match=r"got the code net.py:Net .*; expected the code evil_of"):
            load_network("net", original="net.py:Net", args={"blocks": 3})
        assert dense_as(mga.from_pretrained("net", model=copy.deepcopy(of_code)), of_code)  # of nobody's making
    config["backbone"] = {"name": "evil_of_the_checkpoint:Net", "scale": 2}
    Path("net/config.json").write_text(json.dumps(config))
    with pytest.raises(mga.CheckpointError, match="builds no network: got backbone 'evil_of_the_checkpoint:Net'"):
        mga.from_pretrained("net")
    assert not Path("ran").exists()
    assert "evil_of_the_checkpoint" not in sys.modules


def test_a_checkpoint_that_does_not_say(of_code: nn.Module) -> None:
    """Of an earlier version."""
    config = json.loads(Path("net/config.json").read_text())
    del config["original"]
    Path("net/config.json").write_text(json.dumps(config))
    assert dense_as(load_network("net", original="net.py:Other", args={"blocks": 3}), of_code)
    with pytest.raises(
        mga.CheckpointError, match="was made from a network, which is not a backbone of mga_wrap; build"
    ):
        mga.from_pretrained("net")
    config["original"] = {"kind": "url", "name": "x"}
    Path("net/config.json").write_text(json.dumps(config))
    with pytest.raises(mga.CheckpointError, match=r"config.json builds no network: original: got kind='url'"):
        mga.from_pretrained("net", model=of_code)
