"""A network from the user's code: imported because the user named it, called, and told in one line what was wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

import mga_wrap as mga
from mga_wrap.networks.from_code import from_code, is_code
from mga_wrap.origin import origin_of

NET = """
from __future__ import annotations
from dataclasses import dataclass
from torch import nn
from {neighbour} import CHANNELS

@dataclass
class Sizes:
    blocks: int = 4

class Net(nn.Module):
    def __init__(self, blocks=4, scale=2):
        super().__init__()
        self.head = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.body = nn.Sequential(*[nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.ReLU())
                                    for _ in range(blocks)])
        self.tail = nn.Sequential(nn.Conv2d(CHANNELS, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))

    def forward(self, lr):
        x = self.head(lr)
        return self.tail(x + self.body(x))

class Zoo:
    @staticmethod
    def small():
        return Net(2)

def late():
    import {neighbour}
    return Net({neighbour}.CHANNELS)

def fails(blocks=4):
    raise KeyError("no weights here")

def leaves():
    raise SystemExit("usage: net.py")

def nothing():
    return {{"net": Net()}}

def wrapped():
    import types
    return types.SimpleNamespace(model=Net(), architecture="Net")

made = Net(3)
number = 5
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "neighbour_of_net.py").write_text("CHANNELS = 8\n")
    (tmp_path / "mynet.py").write_text(NET.format(neighbour="neighbour_of_net"))
    (tmp_path / "my package").mkdir()
    package = tmp_path / "models_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "neighbour.py").write_text("CHANNELS = 8\n")
    (package / "mynet.py").write_text(NET.format(neighbour="models_of_mine.neighbour"))
    (package / "broken.py").write_text("x = 1\nimport there_is_no_such_module\n")
    (package / "bad.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith(("models_of_mine", "neighbour_of_net"))]:
        del sys.modules[name]


@pytest.mark.parametrize("place", ["mynet.py", "models_of_mine.mynet", "models_of_mine/mynet.py"])
@pytest.mark.parametrize(
    ("name", "args", "blocks"),
    [("Net", {"blocks": 5}, 5), ("Net", {}, 4), ("Zoo.small", {}, 2), ("late", {}, 8), ("made", {}, 3)],
)
def test_factories(place: str, name: str, args: dict[str, int], blocks: int, folder: Path) -> None:
    if place == "models_of_mine/mynet.py" and name == "late":
        pytest.skip("a file of a package that imports its package by name is meant by its module")
    before = list(sys.path)
    model = from_code(f"{place}:{name}", args=args) if "/" not in place else _in_package(place, name, args)
    assert sys.path == before
    assert not model.training
    assert len(model.body) == blocks
    origin = origin_of(model)
    assert (origin.kind, origin.name, origin.args) == ("code", f"{place.rpartition('/')[2]}:{name}", args)


def _in_package(place: str, name: str, args: dict[str, int]) -> nn.Module:
    """The folder of the file is searched, not the one above it: it is put there as a user would, by PYTHONPATH."""
    sys.path.append(str(Path.cwd()))
    try:
        return from_code(f"{place}:{name}", args=args)
    finally:
        sys.path.remove(str(Path.cwd()))


def test_a_path_is_not_kept(folder: Path) -> None:
    """No folder of this machine in a record that others get."""
    assert origin_of(from_code(f"{folder}/mynet.py:Net", args={})).name == "mynet.py:Net"


def test_a_descriptor_from_a_factory(folder: Path) -> None:
    assert type(from_code("mynet.py:wrapped", args={})).__name__ == "Net"


@pytest.mark.parametrize(
    ("spec", "args", "text"),
    [
        ("mynet.py:Nett", {}, r"mynet.py has no 'Nett'; expected one of .*did you mean 'Net'"),
        ("none.py:Net", {}, r"got none.py; there is no such file: expected file.py:Factory"),
        ("none_such.net:Net", {}, r"got none_such.net; there is no module none_such here: expected package.module"),
        ("models_of_mine.none:Net", {}, r"there is no module models_of_mine.none here"),
        (
            "models_of_mine.broken:Net",
            {},
            r"cannot be imported: ModuleNotFoundError: No module named 'there_is_no_such_module' \(broken.py, line 2\)",
        ),
        ("models_of_mine.bad:Net", {}, r"models_of_mine.bad cannot be imported: SyntaxError: .*bad.py, line 1"),
        ("mynet.py:fails", {}, r"mynet.py:fails failed .*KeyError: 'no weights here' \(mynet.py, line \d+\)"),
        ("mynet.py:leaves", {}, r"mynet.py:leaves failed .*SystemExit: usage: net.py"),
        ("mynet.py:Net", {"block": 3}, r'with the arguments {"block": 3}: TypeError: .*unexpected keyword .*block'),
        ("mynet.py:nothing", {}, r"mynet.py:nothing returned a dict; expected an nn.Module that turns lr"),
        ("mynet.py:Sizes", {}, r"mynet.py:Sizes returned a Sizes; expected an nn.Module"),
        ("mynet.py:number", {}, r"mynet.py:number is a int; expected a class or function that returns"),
        ("mynet.py:made", {"blocks": 3}, r"got network arguments for mynet.py:made, which is a network already"),
        ("mynet", {}, r"got 'mynet'; expected package.module:Factory or file.py:Factory"),
        ("mynet.py:Net()", {}, r"got 'mynet.py:Net\(\)'; expected"),
    ],
)
def test_errors_say_what_was_wrong(spec: str, args: dict[str, object], text: str, folder: Path) -> None:
    before = list(sys.path)
    with pytest.raises(mga.ArgumentError, match=text) as caught:
        from_code(spec, args=args)
    assert "\n" not in str(caught.value)
    assert sys.path == before


def test_arguments_that_json_does_not_hold(folder: Path) -> None:
    with pytest.raises(mga.ArgumentError, match="got network arguments that JSON does not hold"):
        from_code("mynet.py:Net", args={"blocks": object()})


@pytest.mark.parametrize(
    ("spec", "code"),
    [
        ("net.py:Net", True),
        ("/a b/net.py:Net", True),
        ("C:" + "\\nets\\net.py:Net", True),
        ("a.b:C.d", True),
        ("pan", False),
        ("net.py", False),
        ("net.pth", False),
        ("a-b:C", False),
        ("C:" + "\\net.pth", False),
        ("net.py:", False),
        ("os:system('x')", False),
    ],
)
def test_what_reads_as_code(spec: str, code: bool) -> None:
    assert is_code(spec) == code
