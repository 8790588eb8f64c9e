"""The documentation: it builds, its code runs and prints what it says, its links lead somewhere."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from hub_server import Hub
from safetensors.torch import save_file
from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact
from typer.main import get_command
from typer.testing import CliRunner

import mga_wrap as mga
from mga_wrap.cli import app
from mga_wrap.config import CutConfig
from mga_wrap.networks import load_network
from mga_wrap.train.losses import IMAGES, LOSSES, MEASURES
from mga_wrap.train.stages import STAGE_SETS
from mga_wrap.train.yaml_config import Config, Network, Stages

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKING = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "examples").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$(?:\n+^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FETCHED = re.compile(r"<(?:script|link|img|iframe)\b[^>]*[\"']https?://[^>]*>")
SHIPPED = re.compile(r"fsrcnn-m-x|mga\.upscale\(|list_pretrained\(|mga-wrap (?:upscale|eval)")
"""Code that needs the weights in the package."""
MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(?:home|root|work|tmp|mnt|Users|private)/\w|\b[A-Z]:\\\\?\w")

MYNET = """
from torch import nn

class MyNet(nn.Sequential):
    def __init__(self, blocks):
        body = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()) for _ in range(blocks)]
        head, tail = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 12, 3, padding=1)
        super().__init__(head, nn.Sequential(*body), tail, nn.PixelShuffle(2))
"""

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.fixture
def desk(hub_writer: Hub, tmp_path: Path) -> Path:
    """A folder to work in: a photograph, a folder `photos` with the same, and two networks of somebody's own.

    The Hub is one on loopback, and whoever works here is logged in.
    """
    photograph = min((ROOT / "examples").glob("*.png"))
    (tmp_path / "photos").mkdir()
    for copy in ("photo.png", "photos/photo.png"):
        shutil.copy(photograph, tmp_path / copy)
    Path("mynet.py").write_text(MYNET)
    torch.manual_seed(0)
    torch.save(load_network("mynet.py:MyNet", args={"blocks": 16}).state_dict(), "mynet.pth")
    untrained = SRVGGNetCompact(num_feat=8, num_conv=4, upscale=2).state_dict()
    save_file({name: 0.3 * value for name, value in untrained.items()}, "net.safetensors")  # it makes an image of lr
    return tmp_path


def blocks(page: Path, *languages: str) -> Iterator[tuple[str, str | None]]:
    """(code, what it is said to print or None) for each block in one of the languages."""
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if match[1] in languages:
            yield match[2], match[3]


def skip_without_weights(skipped: int) -> None:
    if skipped:
        pytest.skip(f"{skipped} pieces of code need the weights in the package, and there are none")


def needs_weights(code: str) -> bool:
    return not mga.list_pretrained() and SHIPPED.search(code) is not None


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed")
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    reference = (tmp_path / "site" / "api" / "index.html").read_text(encoding="utf-8")
    for name in set(mga.__all__) - {"__version__"}:
        assert re.search(rf'id="mga_wrap\.(?:\w+\.)*{name}"', reference), f"docs/api.md lacks {name}"
    for page in (tmp_path / "site").rglob("*.html"):
        fetched = FETCHED.search(page.read_text(encoding="utf-8"))
        assert fetched is None, f"{page.name} fetches {fetched[0]} from elsewhere"


@pytest.mark.filterwarnings("ignore")
@every_page
def test_python_blocks_run_and_print_what_the_page_says(page: Path, desk: Path) -> None:
    namespace: dict[str, object] = {"__name__": "__docs__"}
    skipped = 0
    for number, (code, expected) in enumerate(blocks(page, "python"), 1):
        if needs_weights(code):
            skipped += 1
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, f"{page.name}, block {number}", "exec"), namespace)
        if expected is not None:
            assert printed.getvalue() == expected, f"{page.name}, block {number}"
    skip_without_weights(skipped)


def write_files(page: Path) -> None:
    """YAML that begins with a comment of its file's name is that file."""
    for code, _ in blocks(page, "yaml"):
        if name := re.match(r"# (\S+\.yaml)\n", code):
            Path(name[1]).write_text(code, encoding="utf-8")


def commands(page: Path) -> Iterator[tuple[list[str], str]]:
    """(arguments, what is shown under them) for each `mga-wrap` line in a shell block."""
    for code, _ in blocks(page, "console", "bash"):
        for part in re.split(r"^(?=(?:\$ )?mga-wrap )", code, flags=re.MULTILINE):
            line, _, shown = part.removeprefix("$ ").partition("\n")
            if line.startswith("mga-wrap "):
                yield shlex.split(line, comments=True)[1:], shown


@every_page
def test_command_lines_are_understood(page: Path) -> None:
    """Names, types and number of the arguments; nothing is run."""
    group = get_command(app)
    for (name, *arguments), _ in commands(page):
        group.commands[name].make_context(name, list(arguments))  # type: ignore[attr-defined]


@every_page
def test_command_lines_run_and_print_what_the_page_says(page: Path, desk: Path) -> None:
    skipped = 0
    write_files(page)
    for arguments, shown in commands(page):
        line = shlex.join(["mga-wrap", *arguments])
        if "../shared" in line:  # data that lies beside the repository, and takes minutes
            continue
        if needs_weights(line):
            skipped += 1
            continue
        if arguments[0] == "fit":
            arguments += ["--seconds", "1"]  # the page's minute is too long for a test
        if arguments[0] == "distill":
            arguments += ["--minutes", "0.01"]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{line}: {result.output}"
        if shown.strip():
            assert tidy(result.output) == tidy(shown), line
    skip_without_weights(skipped)


def tidy(text: str) -> list[str]:
    """Lines without the blanks at their ends, and without empty ones."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor and linked.suffix == ".md":
            assert anchor in headings(linked), f"{page.name} links to {target}"


def headings(page: Path) -> set[str]:
    """The anchors of a page."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    for path in text_files():
        found = MACHINE_PATH.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path.relative_to(ROOT)} holds the absolute path {found[0]}..."


def text_files() -> list[Path]:
    """Every text file that git tracks or would track."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a git checkout")
    suffixes = {".cfg", ".csv", ".json", ".md", ".py", ".toml", ".txt", ".yaml", ".yml"}
    named = {"Makefile", "LICENSE", "run", ".gitignore"}
    files = [ROOT / line for line in result.stdout.splitlines()]
    return [file for file in files if (file.suffix in suffixes or file.name in named) and file.is_file()]


def test_every_key_of_a_training_is_explained() -> None:
    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    sections = {
        "network": Network,
        "accelerate": CutConfig,
        "data": mga.Data,
        "validation": mga.Validation,
        "stages": Stages,
    }
    for section, kind in sections.items():
        for one in fields(kind):
            assert f"`{section}.{one.name}`" in page or (kind is CutConfig and f"`{one.name}`" in page), one.name
    losses = [*IMAGES, *MEASURES, *(name for name in LOSSES if name.split("_")[0] not in IMAGES)]
    for name in (*(one.name for one in (*fields(Config), *fields(mga.Stage))), *losses, *STAGE_SETS):
        assert name in sections or f"`{name}`" in page, name
