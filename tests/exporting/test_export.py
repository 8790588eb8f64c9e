"""A network as a file: the image of the network at sizes it was not traced with, or no file."""

from __future__ import annotations

import importlib.util
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from exporting.many_sizes import compared
from torch import Tensor, nn
from toys.plain import build
from toys.public import IMDN
from toys.sized import build_sized
from toys.whole import build_whole

import mga_wrap as mga
from mga_wrap.backbones.fsrcnn import FSRCNN
from mga_wrap.backbones.pan import PAN
from mga_wrap.backbones.rcan import RCAN
from mga_wrap.backbones.rfdn import RFDN
from mga_wrap.backbones.srresnet import SRResNet
from mga_wrap.backbones.student import Student
from mga_wrap.cli import app
from mga_wrap.cli import export as command
from mga_wrap.exporting import export as exporting
from mga_wrap.exporting.export import FORMATS
from mga_wrap.exporting.program import smallest_by_formula, trace
from mga_wrap.files import _PART
from mga_wrap.pictures.synthetic import synthetic

pytestmark = [
    pytest.mark.filterwarnings("ignore::mga_wrap.errors.UnfittedWarning", "ignore::mga_wrap.errors.CostWarning"),
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for form in FORMATS.values() for name in form.needs),
        reason="needs onnx, onnxscript, onnxruntime, openvino",
    ),
]
K = 0.3

REOPENED = """
import sys
import numpy as np
folder = sys.argv[1]
lr = np.load(folder + "/lr.npy")

import onnx, onnxruntime
onnx.checker.check_model(folder + "/net.onnx", full_check=True)
session = onnxruntime.InferenceSession(folder + "/net.onnx", providers=["CPUExecutionProvider"])
(one,), (out,) = session.get_inputs(), session.get_outputs()
print(one.name, out.name, one.type, sorted(session.get_modelmeta().custom_metadata_map.items()))
np.save(folder + "/onnx.npy", session.run(None, {one.name: lr})[0])

import openvino
model = openvino.Core().read_model(folder + "/net.xml")
names = sorted(model.get_rt_info("mga_wrap").astype(dict))
facts = [(name, model.get_rt_info(["mga_wrap", name]).astype(str)) for name in names]
print([one.any_name for one in (*model.inputs, *model.outputs)], facts)
np.save(folder + "/xml.npy", openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(lr)[0])

import torch, mga_wrap as mga
net = mga.load_exported(folder + "/net.pt2")
print(sorted(net.facts.items()))
with torch.no_grad():
    np.save(folder + "/pt2.npy", net(torch.from_numpy(lr)).numpy())
"""


@pytest.fixture(scope="module")
def net() -> mga.MGANet:
    torch.manual_seed(0)
    return mga.accelerate(FSRCNN(scale=2, d=8, s=4, m=2), style="paper", k=K).eval()


@pytest.fixture(scope="module")
def files(net: mga.MGANet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, mga.Exported]:
    """One network in every format, for any size."""
    folder = tmp_path_factory.mktemp("files")
    return {suffix: mga.export(net, folder / f"net{suffix}") for suffix in FORMATS}


def test_any_size_in_every_format(files: dict[str, mga.Exported]) -> None:
    for suffix, written in files.items():
        assert written.size is None
        assert written.smallest == 16
        assert written.difference is not None
        assert written.difference <= 1e-4
        said = f"{written.path}: {FORMATS[suffix].name}, any size from 16 x 16 on, within "
        assert str(written).startswith(said)
    folder = files[".xml"].path.parent
    assert sorted(path.name for path in folder.iterdir() if path.stem == "net") == [
        "net.bin",
        "net.onnx",
        "net.pt2",
        "net.xml",
    ]
    assert not [path for path in folder.iterdir() if _PART.match(path.name)]


def test_read_in_a_fresh_process(net: mga.MGANet, files: dict[str, mga.Exported]) -> None:
    import numpy as np

    folder = files[".onnx"].path.parent
    lr = torch.cat([synthetic(37, 50), synthetic(37, 50).flip(3)])
    np.save(folder / "lr.npy", lr.numpy())
    words = [sys.executable, "-c", REOPENED, str(folder)]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    facts = {"k": "0.3", "share": "0.3", "p": "4", "halo": "1", "scale": "2", "channels": "3", "smallest": "16"}
    facts |= {"size": "any", "mga_wrap": mga.__version__}
    named = {"version" if name == "mga_wrap" else name: value for name, value in facts.items()}
    assert said == [
        f"input output tensor(float) {sorted(facts.items())}",
        f"['input', 'output'] {sorted(named.items())}",
        f"{sorted(facts.items())}",
    ]
    with torch.no_grad():
        expected = net(lr)
    for name in ("onnx", "xml", "pt2"):
        torch.testing.assert_close(torch.from_numpy(np.load(folder / f"{name}.npy")), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_random_sizes(suffix: str, net: mga.MGANet, files: dict[str, mga.Exported]) -> None:
    line = compared(net, K, files[suffix].path, smallest=16, count=4, seed=0)
    assert ": 4 sizes, seed 0, within " in line


def pretrained(model: nn.Module, *, p: int = 8, score: str = "convolutions") -> mga.MGANet:
    return mga.accelerate(model, split_at=1, p=p, halo=2, mask={"kind": score})


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_patches_that_the_border_cuts_count_for_what_they_have(suffix: str, tmp_path: Path) -> None:
    """Every pixel costs the same here: of 4 x 3 patches of 8 pixels the six whole ones are chosen, at any size."""
    net = pretrained(Student(scale=2, channels=8, blocks=2), score="statistics").eval()
    with torch.no_grad():
        net.mask.direct.weight.zero_()
    written = mga.export(net, tmp_path / f"net{suffix}", k=6)
    assert written.size is None
    lr = synthetic(29, 21)
    with torch.no_grad():
        coarse, *crossing = net.base(lr)
        expected = net.refine_patches(coarse, crossing, torch.tensor([[0, 1, 3, 4, 6, 7]]))
        torch.testing.assert_close(net(lr, k=6), expected)
    assert not torch.allclose(net(lr, k="all"), expected, atol=1e-3)
    found = FORMATS[suffix].open((written.path,))(lr)
    torch.testing.assert_close(torch.as_tensor(found), expected, atol=1e-4, rtol=0)


def paper(model: nn.Module) -> mga.MGANet:
    return mga.accelerate(model, split_at=1, style="paper")


BACKBONES: dict[str, Callable[[], mga.MGANet]] = {
    "PAN, paper": lambda: paper(PAN(scale=2, nf=8, unf=4, nb=2)),
    "RFDN, pretrained": lambda: pretrained(RFDN(scale=2, nf=8, num_modules=2), p=16),
    "RCAN, pretrained": lambda: pretrained(RCAN(scale=2, n_resgroups=2, n_resblocks=1, n_feats=8, reduction=4)),
    "SRResNet, paper": lambda: paper(SRResNet(scale=2, nf=8, nb=2)),
    "student, pretrained": lambda: pretrained(Student(scale=2, channels=8, blocks=2), score="statistics"),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_every_other_backbone(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = mga.export(BACKBONES[name]().eval(), tmp_path / "net.onnx", k=3, size=(40, 24))
    assert made.size == (24, 40)
    assert made.difference is not None
    assert made.difference <= 1e-4


def test_a_trained_networks_cut_at_any_size(tmp_path: Path) -> None:
    """Its windows lie channels last: a view that is traced so is none where the exporter lays them out anew."""
    made = mga.export(pretrained(IMDN(channels=8, blocks=2, scale=2).eval()), tmp_path / "net.onnx", k=4)
    assert made.size is None
    assert made.difference is not None


def test_attention_in_windows_is_told_to_hold_for_one_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "ONE_SIZE", (32, 32))
    net = mga.accelerate(build_sized("WindowAttention", 2), mask={"kind": "convolutions"})
    made = mga.export(net.eval(), tmp_path / "net.onnx", k=2)
    assert made.size == (32, 32)
    assert "net.onnx: ONNX opset 20, 32 x 32 alone, within" in str(made)
    assert "at three other images" in str(made)
    assert "note: for one size alone, since " in str(made)


def test_dynamic_false_is_one_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "ONE_SIZE", (40, 32))
    file = tmp_path / "net.pt2"
    assert mga.export(build("LongSkip", 2), file, dynamic=False).size == (40, 32)
    loaded = mga.load_exported(file)
    assert loaded.size == (32, 40)
    with pytest.raises(mga.ArgumentError, match="got 1 of 32 x 41; expected one image of 32 x 40, for which alone"):
        loaded(torch.rand(1, 3, 41, 32))


def test_the_smallest_size_is_found_by_running(tmp_path: Path) -> None:
    made = mga.export(build_whole("LargeOnly", 2), tmp_path / "net.pt2")
    assert made.smallest == 21  # which no formula says
    assert mga.load_exported(tmp_path / "net.pt2").smallest == 21
    with torch.no_grad(), pytest.raises(mga.ArgumentError, match="expected sides of at least 21 pixels"):
        mga.load_exported(tmp_path / "net.pt2")(torch.rand(1, 3, 20, 64))


class OddOnes(nn.Module):
    """Computes something else for some sizes, which the exporter does not notice."""

    scale = 2

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 12, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        sr = nn.functional.pixel_shuffle(self.layer(x), 2)
        return sr if (x.shape[-2] * x.shape[-1]) % 5 != 3 else sr * 0.5


class EvenOnes(OddOnes):
    """Computes something else for odd heights, which the exporter notices."""

    def forward(self, x: Tensor) -> Tensor:
        sr = nn.functional.pixel_shuffle(self.layer(x), 2)
        return sr if x.shape[-2] % 2 == 0 else sr * 0.5


def test_why_a_file_is_for_one_size_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "ONE_SIZE", (24, 32))
    made = mga.export(EvenOnes().eval(), tmp_path / "net.pt2")
    assert made.size == (24, 32)
    assert made.notes[0].startswith("for one size alone, since Not all values of height")


def test_a_graph_is_run_at_other_sizes_before_any_size_is_said() -> None:
    model = OddOnes().eval()
    with pytest.raises(mga.EngineError, match="its graph does not hold for every size"):
        trace(model, None, size=None, smallest=smallest_by_formula(model))


def test_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mga.save_network(mga.create_backbone("student-half", scale=2), tmp_path / "small")
    words = ["export", str(tmp_path / "small"), "-o", str(tmp_path / "small.pt2"), "--size", "40x24"]
    app(words, standalone_mode=False)
    assert "small.pt2: torch.export, 40 x 24 alone, within" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["small", "small.pt2"]
    app([*words[:3], str(tmp_path / "small.pth")], standalone_mode=False)
    assert "expected the name of a file that ends in .onnx, .xml, .pt2" in capsys.readouterr().err
    assert tuple(FORMATS) == command.SUFFIXES


# Bad input -----------------------------------------------------------------------------------------------------------


class Random(nn.Module):
    """What it makes hangs on how often it was called: no file computes that."""

    scale = 2

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Conv2d(3, 12, 1), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return nn.functional.pixel_shuffle(self.layer(x) * float(self.calls), 2)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_computes_something_else_does_not_appear(suffix: str, tmp_path: Path) -> None:
    for name in (f"wrong{suffix}", "wrong.bin"):
        (tmp_path / name).write_bytes(b"older")
    with pytest.raises(mga.EngineError, match=r"Random was exported, .* differs by .*no file was written"):
        mga.export(Random().eval(), tmp_path / f"wrong{suffix}", size=(20, 20))
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"older"}
    assert len([*tmp_path.iterdir()]) == 2


class Values(nn.Module):
    """Looks at values, which no graph does."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x, scale_factor=2.0 if float(x.mean()) > 0 else 3.0)


class Unknown(nn.Module):
    """An operator that neither ONNX nor OpenVINO knows."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x) + nn.functional.interpolate(x, scale_factor=2.0)[..., ::2, ::2]


def outer(inner: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(inner)).eval()


@pytest.mark.parametrize(
    ("inner", "suffix", "text"),
    [
        (
            Values,
            ".pt2",
            r"Sequential cannot be exported to torch\.export: .*\(in its 1\.0, a Values\)$",
        ),
        (Unknown, ".onnx", r"ONNX opset 20: .*bessel_j0.*\(in its 1\.0, a Unknown\); another format"),
        (Unknown, ".xml", r"OpenVINO IR: .*\(in its 1\.0, a Unknown\)"),
    ],
)
def test_the_module_that_cannot_be_exported_is_named(
    inner: type[nn.Module], suffix: str, text: str, tmp_path: Path
) -> None:
    with pytest.raises(mga.EngineError, match=text):
        mga.export(outer(inner()), tmp_path / f"net{suffix}", size=(16, 16))
    assert not [*tmp_path.iterdir()]


def test_bad_input_is_refused(net: mga.MGANet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "fast.onnx"
    for wrong, text in (
        (partial(mga.export, net, tmp_path / "fast.pth"), r"expected the name of a file that ends in \.onnx, \.xml, "),
        (partial(mga.export, build("LongSkip", 2), file, k=1), "only an MGANet takes k"),
        (partial(mga.export, "pan", file), "expected a network"),  # type: ignore[arg-type]
        (partial(mga.export, net, file, k=2.5), "got the share k=2.5"),
        (partial(mga.export, net, file, size=(8, 64)), "expected sides of at least 16 pixels"),
        (partial(mga.export, build("LongSkip", 2).double(), file), r"net\.float\(\)"),
    ):
        with pytest.raises(mga.ArgumentError, match=text):
            wrong()
    with pytest.raises(mga.EngineError, match=r"takes no image of 16 x 16.*\(in its 0, a Conv2d\)"):
        mga.export(nn.Sequential(nn.Conv2d(4, 3, 1)).eval(), tmp_path / "net.pt2", size=(16, 16))
    with pytest.raises(mga.EngineError, match=r"it makes \(1, 3, 8, 8\); expected an image, enlarged"):
        mga.export(nn.Sequential(nn.AvgPool2d(2)).eval(), tmp_path / "net.pt2", size=(16, 16))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for suffix, extras in ((".onnx", "export"), (".xml", "export,fast")):
        with pytest.raises(mga.ArgumentError, match=rf"not installed: pip install 'mga-wrap\[{extras}\]'"):
            mga.export(net, tmp_path / f"fast{suffix}")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_leaves_no_file(suffix: str, tmp_path: Path) -> None:
    """Files may have no more than some bytes, as where a disk is nearly full."""
    model, before = Random().eval(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(mga.ArgumentError, match=r"net\.\w+ cannot be written \(.*choose another file"):
            mga.export(model, tmp_path / f"net{suffix}", size=(16, 16), check=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [*tmp_path.iterdir()]
    (tmp_path / "taken").write_text("a file, where a folder would be")
    with pytest.raises(mga.ArgumentError, match=r"cannot be written \(.*choose another file"):
        mga.export(model, tmp_path / "taken" / f"net{suffix}", size=(16, 16), check=False)


def test_what_tensorrt_does_not_take_is_told(net: mga.MGANet) -> None:
    assert exporting._notes(net, "dense", None) == exporting._notes(net, 0, None) == ()
    assert exporting._notes(net, 0.2, (90, 160)) == exporting._notes(net, 4000, (90, 160)) == ()  # 920 patches
    (told,) = exporting._notes(net, 0.5, (720, 1280))
    assert told == "TensorRT's TopK takes at most 3,840 patches, this file asks for 28,800"
    assert exporting._notes(net, 4000, None)[0].endswith("this file asks for 4,000")
    older, many = exporting._notes(net, 0.2, None)
    assert older == "older TensorRT takes no number of patches that depends on the size, as here: give size="
    assert many.endswith("so this file's images may have 19,200 patches of 4 x 4")
