"""The program itself: what it imports, how a command is declared and done."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli.calls import run, save
from PIL import Image

import mga_wrap
from mga_wrap import cli
from mga_wrap.cli.app import app, work_of
from mga_wrap.cli.failures import say_error
from mga_wrap.errors import ArgumentError, MGAError

ROOT = Path(__file__).resolve().parents[2]
ROOM = ROOT / "mga_wrap" / "cli"
COMMANDS: dict[str, Any] = {str(info.name): info.callback for info in app.registered_commands}

every_command = pytest.mark.parametrize("name", sorted(COMMANDS))


def modules_after(*words: object) -> tuple[set[str], int, str]:
    """The modules that a command line has imported when it ends, its exit code, and what it says on stderr."""
    code = "import sys, mga_wrap.cli\ntry: mga_wrap.cli.main()\nfinally: print('imported', *sys.modules)"
    line = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split()), done.returncode, done.stderr


def test_it_runs_as_a_module() -> None:
    words = [sys.executable, "-m", "mga_wrap", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, f"mga-wrap {mga_wrap.__version__}\n")


def test_no_import_stands_inside_a_function() -> None:
    for file in sorted(ROOM.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        inside = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        assert [node.lineno for node in inside if node not in tree.body] == [], file.relative_to(ROOT)


@pytest.mark.slow
def test_garbage_is_looked_for_again_when_the_work_begins(tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text("import gc\nprint('collects', gc.isenabled())\n")
    code = "import gc, sys, mga_wrap.cli\ntry: mga_wrap.cli.main()\nfinally: print('collects', gc.isenabled())"
    line = [sys.executable, "-c", code, "inspect", f"{net}:Net"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.stdout.splitlines() == ["collects True"] * 2, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["upscale", "--help"], 0),
        (["bench", "--help"], 0),
        (["upscale", "a.png", "-o", "out", "--colour"], 2),
        (["upscale", "a.png", "-o", "out", "--k", "1.5"], 2),
        (["upscale", "missing.png", "-o", "out"], 1),
        (["upscale", "missing.png", "-o", "out", "--model", "no/such/net"], 1),
        (["eval", "--data", "missing", "--scale", "4"], 1),
        (["sheet", "--data", "missing", "--scale", "4", "-o", "out"], 1),
        (["mask-accuracy", "--data", ".", "--scale", "4", "--k", "0"], 2),
        (["mask-accuracy", "--data", ".", "--scale", "4", "--paper", "missing.csv"], 1),
        (["inspect", "no/such/net"], 1),
        (["inspect", "no/such/net.pth"], 1),
        (["inspect", "missing.py:Net"], 2),
        (["inspect", "net:Net", "--network-args", "blocks=3"], 2),
        (["fit", "pan", "--data", "missing", "-o", "out"], 1),
        (["fit", "pan", "--data", ".", "-o", "out", "--k", "1.5"], 2),
        (["inspect", "pan", "--size", "0x4"], 2),
        (["bench", "pan", "--p", "0"], 2),
        (["bench", "pan", "--weights", "missing.pth"], 1),
        (["train", "missing.yaml"], 1),
        (["tables", "missing"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_help_and_wrong_arguments_need_no_torch(words: list[str], code: int) -> None:
    imported, returned, said = modules_after(*words)
    assert (returned, imported & {"torch", "PIL", "timm", "matplotlib", "mga_wrap.nets"}) == (code, set()), said
    assert "Traceback" not in said


@every_command
def test_what_is_declared_is_what_is_done(name: str) -> None:
    work = work_of(COMMANDS[name])
    assert work.__module__ == COMMANDS[name].__module__.replace("mga_wrap.cli.", "mga_wrap.cli.work.")
    assert list(inspect.signature(work).parameters) == list(inspect.signature(COMMANDS[name]).parameters)
    assert all(one.default is one.empty for one in inspect.signature(work).parameters.values())  # declared once


def test_every_file_of_work_with_a_declaration_belongs_to_a_command() -> None:
    declared = {file.stem for file in ROOM.glob("*.py")} & {file.stem for file in (ROOM / "work").glob("*.py")}
    assert declared - {"__init__"} == {function.__module__.split(".")[-1] for function in COMMANDS.values()}
    assert declared - {"__init__"} <= set(cli.__all__)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ArgumentError("got 1;\nexpected 2"), 2, "error: got 1; expected 2\n"),
        (MGAError("it failed"), 1, "error: it failed\n"),
        (
            OSError(28, "No space left on device", "out.png"),
            1,
            "error: [Errno 28] No space left on device: 'out.png'\n",
        ),
        (MemoryError(), 1, "error: MemoryError\n"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    error: Exception, code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(work_of(COMMANDS["upscale"]).__module__ + ".upscale", fail)
    result = run("upscale", save(tmp_path / "a.png"), "-o", tmp_path / "out")
    assert (result.exit_code, result.stderr) == (code, said)


def test_a_mistake_of_ours_keeps_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise KeyError("a mistake")

    monkeypatch.setattr("mga_wrap.cli.work.upscale.upscale", fail)
    with pytest.raises(KeyError, match="a mistake"):
        run("upscale", save(tmp_path / "a.png"), "-o", tmp_path / "out")


def test_values_that_a_declaration_has_read_take_the_place_of_their_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, object]] = []
    monkeypatch.setattr("mga_wrap.cli.work.upscale.upscale", lambda **options: seen.append(options))
    run("upscale", save(tmp_path / "a.png"), "-o", tmp_path / "out", "--k", "100")
    assert (seen[0]["k"], seen[0]["out"], seen[0]["mask"]) == (100, tmp_path / "out", False)


@pytest.mark.slow
def test_a_name_that_is_no_text_is_printed_byte_for_byte(saved: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.png")
    save(tmp_path / "plain.png").rename(tmp_path / name)
    words = ["upscale", tmp_path / name, "-o", tmp_path / "out", "--model", saved, "--device", "cpu"]
    line = [sys.executable, "-m", "mga_wrap", *words]
    environment = {**os.environ, "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(line, capture_output=True, check=False, cwd=ROOT, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert os.fsencode(tmp_path / "out") + b"/\xff\xfe_x2.png: 18 x 12" in done.stdout


def test_an_error_of_any_length_is_a_short_line(capsys: pytest.CaptureFixture[str]) -> None:
    say_error(ArgumentError("got " + "9" * 5000), about=Path("a\nb.png"))
    said = capsys.readouterr().err
    assert said.startswith("error: a b.png: got 9999")
    assert said.endswith("9 ...\n")
    assert (len(said) < 1100, said.count("\n")) == (True, 1)


@pytest.mark.slow
def test_a_picture_is_enlarged_without_torchs_compiler(tmp_path: Path) -> None:
    """It would take longer to load than the rest together."""
    Image.new("RGB", (24, 16)).save(tmp_path / "a.png")
    imported, code, said = modules_after("upscale", tmp_path / "a.png", "-o", tmp_path / "b.png", "--scale", 4)
    assert code == 0, said
    assert "torch" in imported
    assert not {"torch._dynamo", "sympy", "torch.distributed.fsdp", "openvino", "onnxruntime", "spandrel"} & imported
