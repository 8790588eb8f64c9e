"""`mga-wrap fit`: from a network of the user's to a saved one that is used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from cli.calls import picture, run, save

import mga_wrap as mga

CODE = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, blocks=4):
        body = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()) for _ in range(blocks)]
        super().__init__(nn.Conv2d(3, 8, 3, padding=1), nn.Sequential(*body), nn.Conv2d(8, 12, 3, padding=1),
                         nn.PixelShuffle(2))

class NoSR(nn.Linear):
    def __init__(self):
        super().__init__(3, 3)
"""
ARGS = ("--network-args", '{"blocks": 6}')
QUICK = ("--seconds", "1", "--device", "cpu", "--p", "4")


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with code, its weights, and photographs."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(CODE)
    space: dict[str, object] = {}
    torch.manual_seed(0)
    exec(CODE, space)
    torch.save(space["Net"](6).state_dict(), "w.pth")
    picture(Path("photos/a.png"), 96, 120)
    picture(Path("photos/b.png"), 120, 96)
    return tmp_path


def fitted(*words: object) -> str:
    result = run("fit", *words, "--data", "photos", "-o", "fast", *QUICK)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_code_with_weights_is_fitted_saved_and_used(mine: Path) -> None:
    said = fitted("net.py:Net", *ARGS, "--weights", "w.pth", "--split-at", "2", "--coarse-tail", "light", "--k", "0.5")
    assert "PSNR to the original" in said
    assert said.splitlines()[-1] == "fast"
    config = json.loads(Path("fast/config.json").read_text())
    assert (config["original"]["name"], config["original"]["weights"], config["fitted"]) == (
        "net.py:Net",
        "w.pth",
        True,
    )
    assert (config["cut"]["split_at"], config["cut"]["k"], config["cut"]["coarse_tail"]) == ("1.1", 0.5, "light")
    save(mine / "photo.png")
    own = ("--original", "net.py:Net", *ARGS)
    result = run("upscale", "photo.png", "-o", "large.png", "--model", "fast", *own, "--device", "cpu")
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    assert "18 x 12 -> 36 x 24, " in result.stdout
    result = run("upscale", "photo.png", "-o", "large.png", "--model", "fast", "--device", "cpu")
    assert result.exit_code == 1
    assert "fast was made from the code net.py:Net with the arguments" in result.stderr
    assert "--original" in result.stderr
    result = run(
        "upscale", "photo.png", "-o", "b.png", "--model", "fast", "--original", "net.py:Net", "--device", "cpu"
    )
    assert result.exit_code == 1
    assert (
        'got the code net.py:Net for fast; expected the code net.py:Net with the arguments {"blocks": 6}'
        in result.stderr
    )


def test_what_is_saved_can_be_fitted_further_but_not_cut_anew(mine: Path) -> None:
    fitted("net.py:Net", *ARGS)
    words = ("fast", "--original", "net.py:Net", *ARGS, "--data", "photos", "-o", "faster", "--device", "cpu")
    result = run("fit", *words, "--seconds", "1")
    assert result.exit_code == 0, result.stderr
    assert Path("faster/model.safetensors").is_file()
    result = run("fit", *words, "--split-at", "1")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: got --split-at with fast, which is cut already; leave out\n",
    )


def test_a_file_of_anothers_is_fitted_and_inspected(mine: Path) -> None:
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.save(SRVGGNetCompact(num_feat=8, num_conv=4, upscale=2).state_dict(), "compact.pth")
    fitted("compact.pth")
    net = run("inspect", "fast", "--original", "compact.pth")
    assert (net.exit_code, "refine" in net.stdout) == (0, True), net.stderr
    anatomy = run("inspect", "compact.pth")
    assert (anatomy.exit_code, "SRVGGNetCompact: x2" in anatomy.stdout) == (0, True), anatomy.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["net.py:None"], 2, "net.py has no 'None'; expected one of Net, NoSR"),
        (
            ["net.py:Net", "--network-args", '{"depth": 3}'],
            2,
            'net.py:Net failed with the arguments {"depth": 3}: ',
        ),
        (["net.py:Net", "--weights", "w.pth"], 1, "w.pth holds the weights of another network than Net"),
        (["net.py:NoSR"], 1, "NoSR fails on an image of (1, 3, 32, 24)"),
        (["pan", *ARGS], 2, "got network arguments for pan, a backbone, which takes a file of weights; leave out"),
        (["net.py:Net", "--seconds", "-1"], 2, "got seconds=-1.0; expected 0 or more"),
        (["net.py:Net", "-o", "net.py"], 2, "got the file net.py for an output; expected the name of a folder"),
        (["net.py:Net", "--data", "net.py"], 1, "net.py"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(words: list[str], code: int, said: str, mine: Path) -> None:
    given = [*words, *(() if "--data" in words else ("--data", "photos")), *(() if "-o" in words else ("-o", "fast"))]
    result = run("fit", *given, "--device", "cpu")
    assert (result.exit_code, len(result.stderr.splitlines())) == (code, 1), result.stderr
    assert said in result.stderr


def test_a_pickle_that_would_run_code_is_refused_without_advice(mine: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[object, ...]:
            return (print, ("this must not run",))

    torch.save({"a": Runs()}, "evil.pth")
    for words in (["evil.pth"], ["net.py:Net", "--weights", "evil.pth"]):
        result = run("fit", *words, "--data", "photos", "-o", "fast", "--device", "cpu")
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1), result.stderr
        assert "evil.pth holds other objects than tensors, or is damaged" in result.stderr
        assert "weights_only" not in result.stderr
        assert "must not run" not in result.stdout


def test_a_network_that_was_never_fitted_is_a_note(mine: Path) -> None:
    torch.manual_seed(0)
    mga.accelerate(mga.create_backbone("fsrcnn", scale=2), p=4).save_pretrained("raw")
    save(mine / "photo.png")
    result = run("upscale", "photo.png", "-o", "large.png", "--model", "raw", "--device", "cpu")
    assert result.exit_code == 0
    assert result.stderr.startswith("note: this network was cut and never fitted")
    assert result.stderr.count("\n") == 1


def test_a_backbone_that_is_cut_is_cut_anew_with_its_weights(mine: Path) -> None:
    words = ("fit", "pan-m-x4", "--split-at", "2", "--coarse-tail", "light", "--data", "photos", "--seconds", "0")
    result = run(*words, "-o", "fast")
    assert result.exit_code == 0, result.stderr
    net, before = mga.from_pretrained("fast"), mga.from_pretrained("pan-m-x4")
    assert net.config.split_at == "SCPA_trunk.1"
    lr = torch.rand(1, 3, 20, 17)
    with torch.no_grad():
        assert torch.equal(net(lr, k="dense"), before(lr, k="dense"))
