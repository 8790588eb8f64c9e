"""The examples run, and say what they promise."""

from __future__ import annotations

import csv
import importlib
import re
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from mga_wrap.backbones.rcan import RCAN

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
QUICK = ["--width", "40", "--repeats", "1", "--seconds", "0.1"]


@pytest.fixture
def example(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script of the folder, imported as it is when it is run: beside its neighbours."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module(request.param)


def check(text: str, out: Path, *, name: str, scale: int) -> None:
    assert "PSNR to the original" in text, "what fitting reached"
    assert "k='dense' is the original, bit for bit: True" in text
    assert "breaks even" in text or "faster at every share" in text
    with Image.open(out / f"chelsea_{name}.png") as image:
        assert image.size == (40 * scale, 27 * scale)


def check_fitted(text: str) -> None:
    """Fitted, and how near it is stands beside the seconds."""
    assert re.search(r"fitted in \d+ s on \d+ crops", text)
    coarse, refined = (float(found) for found in re.findall(r"^k=[\d.]+: ([\d.]+) dB from the original", text, re.M))
    assert text.index("fitted in") < text.index("k='dense' is") < text.index("dB from the original's picture")
    assert refined > coarse > 5


@pytest.mark.parametrize("example", ["accelerate_rcan"], indirect=True)
def test_rcan(example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(RCAN(scale=2, n_resgroups=4, n_resblocks=1, rgb_range=255).state_dict(), tmp_path / "w.pt")
    small = ["--scale", "2", "--groups", "4", "--blocks", "1", "--rgb-range", "255"]
    example.main([*small, "--weights", str(tmp_path / "w.pt"), *QUICK, "--out", str(tmp_path)])
    text = capsys.readouterr().out
    check(text, tmp_path, name="rcan", scale=2)
    check_fitted(text)
    assert re.search(r"body\.0 +│", text), "the blocks are shown"
    with pytest.raises(SystemExit, match=r"error: .*w.pt holds the weights of another network than RCAN"):
        example.main(["--weights", str(tmp_path / "w.pt"), *QUICK])


@pytest.mark.parametrize("example", ["accelerate_backbone"], indirect=True)
@pytest.mark.parametrize("name", ["fsrcnn", "pan", "rfdn", "srresnet"])
def test_backbones(name: str, example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)  # of some random networks the refined image is nearer by less than is printed
    example.main([name, "--scale", "2", *QUICK, "--out", str(tmp_path)])
    text = capsys.readouterr().out
    check(text, tmp_path, name=name, scale=2)
    check_fitted(text)


@pytest.mark.parametrize("example", ["accelerate_spandrel"], indirect=True)
def test_spandrel(example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    net = SRVGGNetCompact(num_feat=8, num_conv=4, upscale=2)
    torch.save({"params": net.state_dict()}, tmp_path / "compact.pth")
    example.main([str(tmp_path / "compact.pth"), *QUICK, "--out", str(tmp_path)])
    text = capsys.readouterr().out
    check(text, tmp_path, name="srvggnetcompact", scale=2)


@pytest.mark.parametrize("example", ["accelerate_spandrel"], indirect=True)
def test_spandrel_is_told_what_is_no_network(example: ModuleType, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(SystemExit, match=r"error: .*a\.pth is no network that spandrel knows"):
        example.main([str(tmp_path / "a.pth"), *QUICK])


@pytest.mark.parametrize("example", ["structure"], indirect=True)
def test_structure(example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example.main(["-o", str(tmp_path / "a"), "--size", "180x96"])
    files = sorted((tmp_path / "a").iterdir())
    assert [file.name for file in files][::11] == ["00-facade.png", "11-holes.png"]
    assert len(files) == 12
    for number, file in enumerate(files):
        with Image.open(file) as image:
            drawn = np.asarray(image)
        assert drawn.shape == (96, 180, 3)
        change = abs(np.diff(drawn.astype(float), axis=1)).mean(axis=(0, 2))
        assert change[:90].mean() > 2 * change[-9:].mean(), f"{file.name}: a pattern beside a soft ground"
        if number % 4 == 0:
            assert np.array_equal(drawn, example.picture(number, size=(180, 96)))
            assert not np.array_equal(drawn, example.picture(number, size=(180, 96), seed=1))
    assert capsys.readouterr().out.strip() == str(tmp_path / "a")
    for wrong, text in (("48", "got --size 48"), ("0x4", "expected sides and images of 1 or more")):
        with pytest.raises(SystemExit, match=f"error: {text}"):
            example.main(["-o", str(tmp_path / "b"), "--size", wrong])
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("example", ["hard_pictures"], indirect=True)
def test_hard_pictures(example: ModuleType, tmp_path: Path) -> None:
    photographs, out = tmp_path / "photographs", tmp_path / "out"
    photographs.mkdir()
    shutil.copy(EXAMPLES / "chelsea.png", photographs)
    example.main([str(photographs), "-o", str(out), "--count", "1"])
    assert sorted(file.name for file in out.iterdir()) == ["chelsea-vivid.png", "chelsea.png", "print-00.png"]
    with Image.open(out / "chelsea.png") as plain, Image.open(out / "chelsea-vivid.png") as vivid:
        colour, more = (np.ptp(np.asarray(image, float), axis=2).mean() for image in (plain, vivid))
    assert more > 1.3 * colour
    with Image.open(out / "print-00.png") as drawn:
        assert np.array_equal(np.asarray(drawn), np.asarray(example.draw(np.random.default_rng([0, 0]))))
    with pytest.raises(SystemExit, match=r"error: got .*nothing; expected a folder"):
        example.main([str(tmp_path / "nothing"), "-o", str(tmp_path / "b")])
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("example", ["sizes"], indirect=True)
def test_sizes(example: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(example.mga, "keep_freed_memory", lambda: False)  # it holds for the whole process
    what = ["--sizes", "24x16", "48x32", "--batch", "3", "--repeats", "1", "--k", "0.25"]
    before = torch.get_num_threads()
    try:
        example.main(["fsrcnn-m-x4", *what])
    finally:
        torch.set_num_threads(before)
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["| 24x16", "| 48x32", "| 24x16, 3 at once"]
    assert float(rows[0][2]) * 24 * 16 / 1e6 == pytest.approx(float(rows[0][1]), abs=6e-4)  # printed to milliseconds
    for wrong, text in (
        (["--sizes", "24"], "got --sizes 24"),
        (["--batch", "0"], "expected --batch"),
        (["--k", "x"], ""),
    ):
        with pytest.raises(SystemExit, match=f"error: .*{text}"):
            example.main(["fsrcnn-m-x4", *wrong])


@pytest.mark.parametrize("example", ["finetune"], indirect=True)
def test_finetune_and_front(example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    file, data, out = tmp_path / "compact.pth", tmp_path / "data", tmp_path / "out"
    torch.save({"params": SRVGGNetCompact(num_feat=8, num_conv=4, upscale=2).state_dict()}, file)
    data.mkdir()
    shutil.copy(EXAMPLES / "chelsea.png", data)
    network, quick = [str(file), "--split-at", "0.5"], ["--steps", "3", "--batch", "1", "--seconds", "1"]
    example.main([*network, "--data", str(data), "--val", str(data), "--out", str(out), *quick])
    assert [row["stage"] for row in csv.DictReader((out / "log.csv").open())] == ["coarse", "mask"]

    front = importlib.import_module("front")
    assert "fitted in" in capsys.readouterr().out
    what = ["--data", str(data), "--share", "0.2", "--p", "8", "16", "--size", "64x48", "--repeats", "1"]
    front.main([*network, "--trained", str(out / "last"), *what, "--csv", str(tmp_path / "front.csv")])
    rows = list(csv.DictReader((tmp_path / "front.csv").open()))
    assert [(row["p"], row["share"]) for row in rows] == [("8", "0.0"), ("8", "0.2"), ("16", "0.0"), ("16", "0.2")]
    assert rows[0]["fidelity"] == rows[2]["fidelity"], "the coarse image has no patches"
    assert float(rows[1]["fidelity"]) > float(rows[0]["fidelity"])
    assert all(float(row["speedup"]) > 0 for row in rows)
    for module, more in ((example, ["--val", str(data), "--out", str(out)]), (front, ["--trained", str(out)])):
        with pytest.raises(SystemExit, match="error: got pan without weights; expected --weights FILE"):
            module.main(["pan", "--data", str(data), *more])
