"""Networks of the user's own, accelerated and not, in every command that takes a network."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from cli.calls import run, save
from cli.test_fit import CODE

from mga_wrap.api import accelerate
from mga_wrap.networks import load_network

OWN = ("net.py:Net", "--network-args", '{"blocks": 3}')
SAVED = ("fast", "--original", *OWN)
PLACE = ("--device", "cpu")


@pytest.fixture
def folder(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """net.py, and fast/, which was made from it."""
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(CODE)
    net = accelerate(load_network("net.py:Net", args={"blocks": 3}), p=4)
    net.fitted = True
    net.save_pretrained("fast")
    save(tmp_path / "photo.png")
    return tmp_path


@pytest.mark.parametrize("network", [OWN, SAVED], ids=["plain", "accelerated"])
def test_upscale(network: tuple[str, ...], folder: Path) -> None:
    result = run("upscale", "photo.png", "-o", "large.png", "--model", *network, *PLACE)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "18 x 12 -> 36 x 24, " in result.stdout
    result = run("upscale", "photo.png", "-o", "b.png", "--model", *network, *PLACE, "--scale", "3")
    assert result.exit_code in (1, 2)
    assert "enlarges by 2" in result.stderr


@pytest.mark.parametrize("words", [("--k", "3"), ("--mask",)])
def test_what_a_plain_network_cannot(words: tuple[str, ...], folder: Path) -> None:
    result = run("upscale", "photo.png", "-o", "large.png", "--model", *OWN, *PLACE, *words)
    assert result.exit_code == 2
    assert "got net.py:Net, which is not accelerated; expected a network that is: mga-wrap fit NETWORK" in result.stderr


@pytest.mark.parametrize("network", [OWN, SAVED], ids=["plain", "accelerated"])
def test_eval(network: tuple[str, ...], folder: Path) -> None:
    words = ("--data", "hr", "--scale", 2, "--csv", "a.csv", *PLACE)
    result = run("eval", *words, "--model", *network)
    assert result.exit_code == 0, result.stderr
    rows = list(csv.DictReader(Path("a.csv").read_text().splitlines()))
    assert len(rows) == 4
    assert {row["k"] for row in rows} == ({""} if network == OWN else {"0.25"})
    more = run("eval", *words, "--model", *network, "--k", "0", "--k", "original")
    assert more.exit_code == (2 if network == OWN else 0), more.stderr


@pytest.mark.parametrize("command", ["sheet", "mask-accuracy"])
def test_commands_about_the_mask(command: str, folder: Path) -> None:
    words = (command, "--data", "hr", "--scale", 2, *PLACE, *(("-o", "a.html") if command == "sheet" else ("--k", 5)))
    result = run(*words, "--model", *SAVED)
    assert result.exit_code == 0, result.stderr
    result = run(*words, "--model", *OWN)
    assert (result.exit_code, "net.py:Net, which is not accelerated" in result.stderr) == (2, True)


@pytest.mark.parametrize("network", [OWN, SAVED], ids=["plain", "accelerated"])
def test_inspect(network: tuple[str, ...], folder: Path) -> None:
    result = run("inspect", *network)
    assert result.exit_code == 0, result.stderr
    assert ("Net: x2" if network == OWN else "fast: x2, p=4") in result.stdout


@pytest.mark.parametrize("network", [OWN, SAVED], ids=["plain", "accelerated"])
def test_bench(network: tuple[str, ...], folder: Path) -> None:
    quick = ("--size", "40x24", "--repeats", "1", "--no-engines", "--no-memory", "--share", "0.5", *PLACE)
    result = run("bench", *network, *quick)
    assert result.exit_code == 0, result.stderr
    assert "Net, 40 x 24, cpu" in result.stdout


def test_options_of_a_network_that_is_not_named(folder: Path) -> None:
    torch.save({}, "w.pth")
    for words in (("--original", "pan"), ("--weights", "w.pth"), ("--network-args", '{"a": 1}')):
        result = run("upscale", "photo.png", "-o", "large.png", *words, *PLACE)
        assert result.exit_code == 2
        assert "got --network-args, --weights, --original or --base without --model" in result.stderr


def test_another_original_is_refused(folder: Path) -> None:
    result = run("inspect", "fast", "--original", "net.py:Net")
    assert result.exit_code == 1
    assert 'expected the code net.py:Net with the arguments {"blocks": 3}, from which it was made' in result.stderr
