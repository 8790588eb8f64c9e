"""`mga-wrap distill`: from a network of the user's to a small one that is its base."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState
from cli.calls import picture, run

from mga_wrap.networks import load_network


@pytest.fixture(autouse=True)
def _fresh_accelerate() -> Iterator[None]:
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("abc"):
        picture(Path(f"photos/{name}.png"), 112 + number, 120)
    return tmp_path


def test_a_small_network_is_taught_saved_and_read(here: Path) -> None:
    result = run(
        "distill", "pan", "--scale", 2, "--data", "photos", "-o", "small", "--student", "student-half",
        "--minutes", 0.01, "--no-perceptual",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    said = result.stdout.splitlines()
    assert said[-1] == "small"
    before, after = said[-2].removesuffix(" dB").rpartition(": ")[2].split(" -> ")
    assert float(after) >= float(before)
    net = load_network("small", scale=2)
    assert type(net).__name__ == "HalfStudent"
    assert sum(x.numel() for x in net.parameters()) > 80_000


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("pan", "--minutes", 0), "got --minutes 0"),
        (("pan", "--minutes", math.nan), "got --minutes nan"),
        (("pan", "--precision", "fp8"), "got --precision fp8; expected no or bf16"),
        (("pan", "--data", "nowhere"), "cannot read nowhere"),
        (("pan", "-o", "photos/a.png"), "got the file photos/a.png for an output"),
        (("pan", "--scale", 2, "--student", "fsrcnn-m-x2", "--minutes", 1), "accelerated network as the student"),
        (("none.pth",), "none.pth cannot be read"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(words: tuple[object, ...], text: str, here: Path) -> None:
    given = [*words]
    for name, value in (("--data", "photos"), ("-o", "small")):
        if name not in given:
            given += [name, value]
    result = run("distill", *given)
    assert result.exit_code != 0
    assert text in " ".join(result.stderr.split())
    assert not list(here.glob("small/*"))
