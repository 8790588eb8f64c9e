"""The demonstration: the pictures that it writes and the figures that it prints."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from mga_wrap.api import accelerate
from mga_wrap.backbones.registry import create_backbone
from mga_wrap.infer import compiled
from mga_wrap.nets.mga import MGANet
from mga_wrap.pictures.files import IMAGE_SUFFIXES

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def net() -> MGANet:
    return accelerate(create_backbone("fsrcnn", scale=2), style="paper").eval()


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    monkeypatch.setenv("MGA_WRAP_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    spec = importlib.util.spec_from_file_location("demo", ROOT / "examples" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "REPEATS", 1)
    return module


def test_the_demo_writes_its_pictures_and_prints_its_figures(
    demo: ModuleType, net: MGANet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (18, 12), (10, 200, 30)).save(tmp_path / "photo.png")
    demo.demonstrate(net, image=tmp_path / "photo.png", out=tmp_path / "out", k=0.5)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "photo_x2.png",
        "photo_x2_mask.png",
        "photo_x2_side_by_side.png",
    ]
    said = capsys.readouterr().out
    assert "photo.png: 18 x 12 -> 36 x 24, 53.3% of the patches refined" in said
    for words in (
        "million MACs",
        "medians of 1",
        "seconds in torch",
        "coarse only (k=0)",
        "refined (k=0.5)",
        "every patch (k=all)",
    ):
        assert words in said


def test_the_demo_enlarges_its_photograph(demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "installed_engines", lambda: ())  # to try them takes half a minute here
    demo.main(["--out", str(tmp_path)])
    with Image.open(tmp_path / "chelsea_x3.png") as image:
        assert image.size == (900, 600)


def test_every_picture_among_the_examples_has_a_licence() -> None:
    licences = (ROOT / "examples" / "LICENCES.md").read_text()
    pictures = [file for file in (ROOT / "examples").iterdir() if file.suffix in IMAGE_SUFFIXES]
    assert pictures
    assert all(f"| {picture.name} |" in licences for picture in pictures)
