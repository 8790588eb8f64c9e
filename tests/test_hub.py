"""Checkpoints: written whole or not at all, read with an error that says what is wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mutate_checkpoints
import pytest
import torch
from fixtures import make_format_2
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from toys.plain import build

import mga_wrap as mga
from mga_wrap import checkpoint, hub, names

FILES = ["config.json", "model.safetensors"]


def lr() -> Tensor:
    return torch.rand(1, 3, 13, 18, generator=torch.Generator().manual_seed(3))


def shaken(net: mga.MGANet) -> mga.MGANet:
    """The network with every weight moved, so that no fresh one has them by chance."""
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=generator))
    return net


def same(one: Tensor, two: Tensor) -> bool:
    """Bit for bit, NaN among it: what was not calibrated is none."""
    return one.dtype == two.dtype and torch.allclose(one, two, rtol=0, atol=0, equal_nan=True)


@pytest.fixture(scope="module")
def fsrcnn() -> mga.MGANet:
    return shaken(mga.accelerate(mga.create_backbone("fsrcnn", scale=2), k=7, style="paper")).eval()


@pytest.fixture
def folder(fsrcnn: mga.MGANet, tmp_path: Path) -> Path:
    fsrcnn.save_pretrained(tmp_path / "net")
    return tmp_path / "net"


def edit(folder: Path, change: Callable[[dict], None]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "scale", "style", "options"),
    [
        ("fsrcnn", 2, "paper", {}),
        ("fsrcnn", 3, "pretrained", {"p": 8, "halo": 3, "split_at": 1, "k": "all"}),
        ("fsrcnn", 4, "paper", {"k": 0}),
        ("pan", 3, "paper", {"k": 0.1}),
        ("fsrcnn", 2, "pretrained", {"coarse_tail": 3}),
    ],
)
def test_a_round_trip_is_bit_for_bit(
    name: str, scale: int, style: str, options: dict[str, object], tmp_path: Path
) -> None:
    net = shaken(mga.accelerate(mga.create_backbone(name, scale=scale), style=style, **options)).eval()
    net.save_pretrained(tmp_path / "deep" / "er")
    again = mga.from_pretrained(tmp_path / "deep" / "er")
    assert sorted(path.name for path in (tmp_path / "deep" / "er").iterdir()) == FILES
    assert not again.training
    assert (again.config, again.geometry, again.backbone) == (net.config, net.geometry, net.backbone)
    assert list(again.state_dict()) == list(net.state_dict())
    assert all(same(value, net.state_dict()[key]) for key, value in again.state_dict().items())
    with torch.no_grad():
        for k in (None, 3, "dense"):
            assert torch.equal(again(lr(), k=k), net(lr(), k=k))


@pytest.mark.parametrize("name", ["LongSkip", "TiedBlocks"])
@pytest.mark.parametrize("style", ["pretrained", "paper"])
def test_a_network_of_the_users_needs_its_code(name: str, style: str, tmp_path: Path) -> None:
    net = shaken(mga.accelerate(build(name, 2), p=4, style=style)).eval()
    net.save_pretrained(tmp_path)
    with pytest.raises(mga.CheckpointError, match=r"not a backbone of mga_wrap; .*from_pretrained\(folder, model=\.\."):
        mga.from_pretrained(tmp_path)
    model = build(name, 2).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    again = mga.from_pretrained(str(tmp_path), model=model)
    assert not again.training
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    with torch.no_grad():
        assert torch.equal(again(lr(), k=4), net(lr(), k=4))


def test_k_is_saved_as_it_is_now(fsrcnn: mga.MGANet, tmp_path: Path) -> None:
    fsrcnn.k, before = 0.125, fsrcnn.k
    try:
        fsrcnn.save_pretrained(tmp_path)
    finally:
        fsrcnn.k = before
    assert mga.from_pretrained(tmp_path).k == 0.125


def test_the_config_is_stable(fsrcnn: mga.MGANet, folder: Path) -> None:
    """Files written today are read by every later version: a change here is a new format version."""
    assert json.loads((folder / "config.json").read_text()) == {
        "format_version": 2,
        "scale": 2,
        "backbone": {"name": "fsrcnn", "scale": 2},
        "original": {
            "kind": "backbone",
            "name": "fsrcnn",
            "args": {"scale": 2},
            "class_name": "FSRCNN",
            "fingerprint": fsrcnn.origin.fingerprint,
        },
        "fitted": False,
        "cut": {
            "split_at": "body.2",
            "k": 7,
            "p": 4,
            "halo": 1,
            "style": "paper",
            "coarse_tail": "copy",
            "mask": {},
            "max_loss": 0.1,
        },
    }
    assert (folder / "config.json").read_text().endswith("}\n")
    assert {"base.head.0.weight", "refine.mga_trim.conv1.weight", "mask.kernel.bias"} <= set(
        load_file(folder / "model.safetensors")
    )


def test_files_can_be_read_by_others(folder: Path) -> None:
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in folder.iterdir())


def test_saving_does_not_change_the_net(fsrcnn: mga.MGANet, tmp_path: Path) -> None:
    net = mga.accelerate(build("FSRCNN", 2)).train().to(memory_format=torch.channels_last)
    net.save_pretrained(tmp_path)
    assert net.training
    assert net.base.get_submodule("head.0").weight.is_contiguous(memory_format=torch.channels_last)
    again = mga.from_pretrained(tmp_path).state_dict()
    assert all(same(value, again[name]) for name, value in net.state_dict().items())


# Formats that were released ------------------------------------------------------------------------------------------

FORMAT_1 = Path(__file__).parent / "fixtures" / "format_1"
"""The weights that version 0.1 shipped, and what its networks made of one image."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in FORMAT_1.iterdir() if path.is_dir()))
def test_checkpoints_of_format_1_load_for_ever(name: str) -> None:
    net, expected = mga.from_pretrained(FORMAT_1 / name), load_file(FORMAT_1 / "outputs.safetensors")
    rows, columns = torch.linspace(0, 1, 18)[:, None], torch.linspace(0, 1, 17)
    waves = [0.5 + 0.4 * torch.sin(9 * rows + 5 * columns), 0.5 + 0.4 * torch.cos(21 * rows * columns)]
    image = torch.stack([*waves, (rows + columns) / 2])[None]
    with torch.no_grad():
        for k in (0, 0.5, "dense"):
            torch.testing.assert_close(net(image, k=k), expected[f"{name}.{k}"], atol=1e-5, rtol=0)


FORMAT_2 = FORMAT_1.parent / "format_2"
"""Networks of every kind that format 2 holds, see tests/fixtures/make_format_2.py."""


@pytest.mark.parametrize("name", ["paper", "pretrained", "module", "spandrel"])
def test_checkpoints_of_format_2_load_for_ever(name: str) -> None:
    model = build("LongSkip", 2) if name == "module" else None
    net = mga.from_pretrained(FORMAT_2 / name, model=model)
    frozen = load_file(FORMAT_2 / name / "model.safetensors")
    assert net.state_dict().keys() == frozen.keys()
    assert all(torch.equal(value, frozen[key]) for key, value in net.state_dict().items())
    assert net.fitted == (name == "pretrained")
    with safe_open(FORMAT_2 / "outputs.safetensors", framework="pt") as expected, torch.no_grad():
        here = expected.metadata() == make_format_2.machine()  # elsewhere convolutions add up in another order
        for k in make_format_2.AMOUNTS:
            found, told = net(make_format_2.image(), k=k), expected.get_tensor(f"{name}.{k}")
            torch.testing.assert_close(found, told, atol=0 if here else 1e-5, rtol=0)


@pytest.mark.filterwarnings("ignore")
def test_the_last_format_is_written_as_it_was(tmp_path: Path) -> None:
    """A network that was read is written with the same files."""
    net = mga.from_pretrained(FORMAT_2 / "pretrained")
    net.save_pretrained(tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (FORMAT_2 / "pretrained" / name).read_bytes()


# Threads and modes ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_eight_threads_load_and_run_what_one_does() -> None:
    names = [*(f"fsrcnn-m-x{scale}" for scale in (2, 3, 4)), "pan-m-x2", "rfdn-m-x4", FORMAT_2 / "spandrel"]
    work = [(name, k) for name in names for k in (0.5, "dense")]

    def enlarged(name: str | Path, k: float | str) -> Tensor:
        with torch.inference_mode():
            return mga.from_pretrained(name)(torch.cat([lr(), lr()], dim=2), k=k)

    alone = [enlarged(*one) for one in work]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: enlarged(*one), work))
    assert all(torch.equal(one, two) for one, two in zip(alone, together, strict=True))


def test_it_loads_inside_inference_mode(folder: Path, fsrcnn: mga.MGANet) -> None:
    with torch.inference_mode():
        net = mga.from_pretrained(folder)
    net.train()
    net(lr(), k="all").mean().backward()  # its parameters are no inference tensors
    assert next(net.parameters()).grad is not None


# Broken at random ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_only_our_errors_escape_from_broken_checkpoints() -> None:
    """A few of those that tests/mutate_checkpoints.py makes; the docs tell of 5,000."""
    outcome = mutate_checkpoints.try_all(40, seed=7)
    assert outcome.wrong == []
    assert outcome.refused["CheckpointError"] > 20


# Names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_shipped_name_loads() -> None:
    for name in mga.list_pretrained():
        net = mga.from_pretrained(name)
        assert name.endswith(f"-x{net.scale}")
        with torch.no_grad():
            image = torch.rand(1, 3, 15, 18)  # RFDN's pooling attention takes no smaller sides
            assert net(image).shape == (1, 3, 15 * net.scale, 18 * net.scale)


@pytest.mark.parametrize("names", [(), ("fsrcnn-m-x2", "fsrcnn-m-x4")])
def test_an_unknown_name_lists_the_names(names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "list_pretrained", lambda: names)
    expected = f"a folder, one of {', '.join(names) or 'no weights'}, or owner/name on the Hub"
    with pytest.raises(mga.CheckpointError, match=f"got 'fsrcnn-m-x9'; expected {expected}"):
        mga.from_pretrained("fsrcnn-m-x9")


@pytest.mark.parametrize("name", ["no/such/folder", "No Such Folder", "", "a.b", "./a", "/a/b"])
def test_what_is_no_folder(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "is no folder; expected one with model.safetensors and config.json|got '.*'; expected a folder, one of "
    with pytest.raises(mga.CheckpointError, match="lacks|cannot be read" if name == "" else text):
        mga.from_pretrained(name)


@pytest.mark.parametrize("name", ["../secret", "fsrcnn-m-x2/../../secret", "./../secret"])
def test_a_name_never_leads_out_of_the_shipped_weights(
    name: str, fsrcnn: mga.MGANet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path is a path of the user's own; beside the shipped weights nothing is looked for."""
    weights = tmp_path / "package" / "weights"
    (weights / "fsrcnn-m-x2").mkdir(parents=True)
    fsrcnn.save_pretrained(tmp_path / "package" / "secret")
    monkeypatch.setattr(names.resources, "files", lambda _: tmp_path / "package")
    here = tmp_path / "elsewhere"
    here.mkdir()
    monkeypatch.chdir(here)
    with pytest.raises(mga.CheckpointError, match="is no folder"):
        mga.from_pretrained(name)


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(mga.CheckpointError, match="file is no folder"):
        mga.from_pretrained(tmp_path / "file")


# Broken checkpoints --------------------------------------------------------------------------------------------------


def drop(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def overwrite(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_weights(folder: Path) -> None:
    save_file({"some.weight": torch.zeros(3)}, folder / "model.safetensors")


def fewer_weights(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("mask.conv1.weight")
    save_file(tensors, folder / "model.safetensors")


def config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder, lambda values: values.update(changes))


def cut(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder, lambda values: values["cut"].update(changes))


def without(*names: str) -> Callable[[Path], None]:
    return lambda folder: edit(folder, lambda values: [values.pop(name) for name in names])


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (
            drop("config.json"),
            r"config.json cannot be read \(.*No such file.*expected the file that save_pretrained wrote",
        ),
        (drop("model.safetensors"), r"model.safetensors cannot be read \(.*it is missing, truncated or no safetensors"),
        (truncate, r"model.safetensors cannot be read \(.*truncated"),
        (overwrite("model.safetensors", b""), r"model.safetensors cannot be read"),
        (overwrite("model.safetensors", b"PK\x03\x04 a pickle"), r"model.safetensors cannot be read"),
        (other_weights, r"model.safetensors holds the weights of another network: .*base.head.0.weight"),
        (fewer_weights, r"model.safetensors holds the weights of another network: .*mask.conv1.weight"),
        (overwrite("config.json", b""), r"config.json cannot be read"),
        (overwrite("config.json", b"{'a': 1}"), r"config.json cannot be read"),
        (overwrite("config.json", b"\xff\xfe\x00"), r"config.json cannot be read"),
        (
            overwrite("config.json", b"[1]"),
            r"config.json holds a list; expected the file that save_pretrained wrote",
        ),
        (overwrite("config.json", b"{}"), r"config.json has no format_version"),
        (without("format_version"), r"config.json has no format_version"),
        (config(format_version="1"), r"config.json has no format_version"),
        (
            config(format_version=3),
            r"has format 3, this mga_wrap reads up to 2; update it with pip install -U mga-wrap",
        ),
        (without("cut"), r"config.json lacks cut; expected the file that save_pretrained wrote"),
        (without("backbone", "scale"), r"config.json lacks backbone, scale"),
        (config(format_version=1), r"config.json holds 'cut', which format 1 has not; expected the file that"),
        (
            config(basis="x"),
            r"config.json holds 'basis', which format 2 has not; .*update this package with pip install",
        ),
        (
            config(base="x"),
            r"config.json builds no network: got base=x; expected null, or origin, backbone, cut, matched",
        ),
        (config(base={"matched": 1}), r"config.json builds no network: got base=.*; expected null, or origin"),
        (config(base={}), r"config.json builds no network: original: got NoneType; expected where the network came"),
        (config(fitted=1), r"config.json builds no network: got fitted=1; expected true or false"),
        (config(scale=True), r"config.json builds no network: got scale=True; expected a whole number"),
        (config(scale="2"), r"config.json builds no network: got scale=2; expected a whole number"),
        (
            config(backbone={"name": "fsrcnn", "scale": 2, "m": 10**9}),
            r"builds no network: got backbone=.*expected null",
        ),
        (
            config(original=[1]),
            r"config.json builds no network: original: got list; expected where the network came from",
        ),
        (config(original={"kind": "file", "name": 3}), r"builds no network: original: got name=3; expected text"),
        (
            overwrite("config.json", b'{"format_version": 1, "backbone": null}'),
            r"config.json lacks split_at, k, p, halo, style, coarse_tail",
        ),
        (cut(split_at="a" * 10_000), r"config.json builds no network: .*a{1000,2000} \.\.\.$"),
        (cut(p=10**9), r"config.json .*got p=1000000000; expected a whole number of pixels, from 1 to 512"),
        (cut(halo=10**9), r"config.json .*got halo=1000000000; expected a whole number of pixels, from 0 to 64"),
        (config(format_version=True), r"config.json has no format_version"),
        (config(scale=3), r"config.json says scale 3, its network enlarges by 2; expected the same"),
        (config(cut=[1]), r"config.json builds no network: got list; expected the arguments of a cut by name"),
        (cut(split="body.1"), r"config.json builds no network: got 'split'; .*did you mean 'split_at'"),
        (cut(style="continue"), r"config.json builds no network: got style='continue'"),
        (overwrite("config.json", b"[" * 100_000), r"config.json cannot be read"),
        (overwrite("config.json", b" " * 2_000_000), r"config.json has more than 1,000,000 bytes"),
        (config(backbone={"name": "pan", "scale": 2}), r"config.json .*got split_at=.body.2."),
        (config(backbone={"name": "edsr", "scale": 2}), r"config.json .*edsr"),
        (config(backbone={"name": "fsrcnn", "scale": 9}), r"config.json .*scale=9"),
        (config(backbone={"kind": "fsrcnn"}), r"config.json .*got backbone=.*kind.*; expected null, or"),
        (config(backbone="fsrcnn"), r"config.json "),
        (cut(k=-1), r"config.json .*got k=-1"),
        (cut(p="wide"), r"config.json .*got p='wide'"),
        (cut(split_at="body.9"), r"config.json .*got split_at='body.9'"),
    ],
)
def test_a_broken_checkpoint_says_what_is_wrong(damage: Callable[[Path], object], text: str, folder: Path) -> None:
    damage(folder)
    with pytest.raises(mga.CheckpointError, match=text):
        mga.from_pretrained(folder)


def test_weights_of_another_scale(folder: Path, tmp_path: Path) -> None:
    mga.accelerate(build("LongSkip", 3)).save_pretrained(tmp_path / "x3")
    with pytest.raises(mga.CheckpointError, match=r"says scale 3, its network enlarges by 2"):
        mga.from_pretrained(tmp_path / "x3", model=build("LongSkip", 2))


# Nothing half-written -----------------------------------------------------------------------------------------------


def test_a_net_that_accelerate_did_not_make_is_not_written(fsrcnn: mga.MGANet, tmp_path: Path) -> None:
    net = mga.MGANet(fsrcnn.base, fsrcnn.mask, fsrcnn.refine, geometry=fsrcnn.geometry, config=mga.CutConfig())
    with pytest.raises(mga.CheckpointError, match=r"does not say where it was cut; make it with mga_wrap.accelerate"):
        net.save_pretrained(tmp_path / "net")
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("below", ["", "sub"])
def test_a_file_where_the_folder_should_be(below: str, fsrcnn: mga.MGANet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(mga.CheckpointError, match=r"cannot be written \(.*\); choose another folder"):
        fsrcnn.save_pretrained(tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "mine"


def broken_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def fail(path: Path, data: bytes) -> int:
        write(path, data[: len(data) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)


def broken_config(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(checkpoint.json, "dumps", fail)


@pytest.mark.parametrize("failure", [broken_weights, broken_config])
def test_a_failed_save_leaves_no_file_behind(
    failure: Callable[[pytest.MonkeyPatch], None], fsrcnn: mga.MGANet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure(monkeypatch)
    with pytest.raises(mga.CheckpointError, match=r"cannot be written \(disk full\)"):
        fsrcnn.save_pretrained(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("failure", [broken_weights, broken_config])
def test_a_checkpoint_survives_a_failed_save_of_another(
    failure: Callable[[pytest.MonkeyPatch], None], fsrcnn: mga.MGANet, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = mga.accelerate(mga.create_backbone("fsrcnn", scale=3))
    with monkeypatch.context() as context:
        failure(context)
        with pytest.raises(mga.CheckpointError, match="disk full"):
            other.save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    with torch.no_grad():
        assert torch.equal(mga.from_pretrained(folder)(lr()), fsrcnn(lr()))


def test_a_second_save_replaces_the_first(folder: Path) -> None:
    other = mga.accelerate(mga.create_backbone("fsrcnn", scale=3)).eval()
    other.save_pretrained(folder)
    assert sorted(os.listdir(folder)) == FILES
    assert mga.from_pretrained(folder).scale == 3


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (nn.Identity, r"config.json builds no network: Identity has no parameters"),
        (lambda: build("TwoStepUpsampler", 2), r"config.json builds no network: got split_at='body.2'; .*trunk.0"),
        (lambda: build("LongSkip", 2), r"model.safetensors holds the weights of another network"),
    ],
)
def test_a_model_that_is_another_network(make: Callable[[], nn.Module], text: str, folder: Path) -> None:
    with pytest.raises(mga.CheckpointError, match=text):
        mga.from_pretrained(folder, model=make())
