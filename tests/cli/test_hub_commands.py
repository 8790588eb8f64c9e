"""push, pull and list: what they say and write; the Hub itself is in tests/test_remote.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from cli.calls import run
from hub_server import WRITER, Hub
from huggingface_hub import ModelCard
from safetensors.torch import save_file
from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

import mga_wrap as mga
from mga_wrap.networks import load_network

NAME = "owner/net"
EVAL = "picture,k,p,variant,psnr_y,ssim_y,macs\na,0.25,4,M,30.5,0.9,1000000000\nmean,0.25,4,M,30.512345,0.912349,1e9\n"
BENCH = (
    "name,format,share,seconds,over_as_it_runs,over_best_format,macs\n"
    "original as it runs,contiguous float32,,1.0,1.0,2.0,5\n"
    "accelerated,channels_last float32,0.25,0.4,0.4,0.8,3\n"
)


@pytest.fixture(autouse=True)
def logged_in(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", WRITER)


def test_push_writes_a_card_of_what_was_measured(hub: Hub, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "set5.csv").write_text(EVAL)
    (tmp_path / "bench.csv").write_text(BENCH)
    said = run("push", saved, NAME, "--eval", "Set5=set5.csv", "--bench", "bench.csv", "--license", "apache-2.0")
    assert (said.exit_code, said.stdout) == (0, f"{hub.url}/{NAME}/commit/{hub.repos[NAME].refs['main']}\n")
    card = ModelCard(hub.files(NAME)["README.md"].decode())
    assert card.data.license == "apache-2.0"
    assert [(one.dataset_name, one.metric_type, one.metric_value) for one in card.data.eval_results or ()] == [
        ("Set5 x2", "psnr", 30.51),
        ("Set5 x2", "ssim", 0.9123),
    ]
    assert "| 0.25 | 30.51 / 0.9123 | 1.00 G |" in card.text
    assert "| accelerated | channels_last float32 | 0.25 | 0.400 | 2.50x | 1.25x |" in card.text


def test_push_takes_what_belongs_and_leaves_the_rest(hub: Hub, saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for file in saved.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "README.md").write_text("---\nlicense: mit\n---\nmine\n")
    for name in ("front.png", "notes.txt", "state.safetensors", "optimizer.pth", ".env"):
        (folder / name).write_bytes(b"x")
    assert run("push", folder, NAME).exit_code == 0
    found = hub.files(NAME)
    assert set(found) == {".gitattributes", "config.json", "model.safetensors", "README.md", "front.png"}
    assert found["README.md"].endswith(b"mine\n")
    assert sorted(os.listdir(folder))[:2] == [".env", "README.md"]  # left as it was


def test_push_proposes(hub: Hub, saved: Path) -> None:
    hub.make(NAME, {})
    assert run("push", saved, NAME, "--create-pr").stdout == f"{hub.url}/{NAME}/discussions/1\n"
    assert hub.files(NAME) == {}


@pytest.mark.filterwarnings("ignore")
def test_an_original_goes_along_and_comes_back(hub: Hub, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(SRVGGNetCompact(num_feat=8, num_conv=4, upscale=2).state_dict(), "net.safetensors")
    net = mga.accelerate(load_network("net.safetensors"), split_at=2)
    net.save_pretrained("mine")
    other = run("push", "mine", NAME, "--original", "mine/model.safetensors").stderr
    assert "for mine, which was made from net.safetensors (sha256" in " ".join(other.split())
    assert run("push", "mine", NAME, "--original", "net.safetensors").exit_code == 0
    assert run("pull", NAME).stdout == "net\n"
    assert sorted(os.listdir("net")) == ["config.json", "model.safetensors", "net.safetensors"]
    assert mga.from_pretrained("net").origin == net.origin


@pytest.mark.filterwarnings("ignore")
def test_both_files_of_a_pair_go_along(hub: Hub) -> None:
    torch.manual_seed(0)
    for name, blocks in (("large", 6), ("small", 2)):
        state = SRVGGNetCompact(num_feat=8, num_conv=blocks, upscale=2).state_dict()
        save_file({key: 0.3 * value for key, value in state.items()}, f"{name}.safetensors")  # quiet: lr shows through
    net = mga.accelerate(load_network("large.safetensors"), base=load_network("small.safetensors"), p=8)
    net.save_pretrained("pair")
    files = ("--original", "small.safetensors", "--original", "large.safetensors")
    assert run("push", "pair", NAME, *files).exit_code == 0
    lr = torch.rand(1, 3, 20, 20)
    with torch.no_grad():
        assert torch.equal(mga.from_pretrained(NAME)(lr, k=0.5), net(lr, k=0.5))
    assert run("pull", NAME, "-o", "there").exit_code == 0
    assert {"large.safetensors", "small.safetensors"} < set(os.listdir("there"))
    assert "small.safetensors" in str(hub.files(NAME)["README.md"])


@pytest.mark.filterwarnings("ignore")
def test_pull_says_what_is_not_there(hub: Hub, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(SRVGGNetCompact(num_feat=8, num_conv=4, upscale=2).state_dict(), "net.safetensors")
    mga.accelerate(load_network("net.safetensors"), split_at=2).push_to_hub(NAME)
    assert run("pull", NAME, "-o", "there").stdout.splitlines() == [
        f"note: {NAME} has no net.safetensors, from which it was made; --original or --base has to give it",
        "there",
    ]


def test_what_is_broken_is_not_pushed(hub: Hub, saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "config.json").write_bytes((saved / "config.json").read_bytes())
    (folder / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes()[:-10])
    said = run("push", folder, NAME)
    assert said.exit_code == 1
    assert "model.safetensors cannot be read" in said.stderr
    assert hub.asked == []


def test_what_is_broken_is_not_pulled(hub: Hub, saved: Path) -> None:
    hub.make(NAME, {"config.json": (saved / "config.json").read_bytes(), "model.safetensors": b"x" * 100})
    said = run("pull", NAME, "-o", "there")
    assert said.exit_code == 1
    assert not Path("there").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("push", "nowhere", NAME), "nowhere"),
        (("push", ".", "owner"), "got the repository 'owner'; expected owner/name, as on the Hub"),
        (("push", ".", NAME, "--eval", "set5.csv"), "expected the set's name and its file: Set5=set5.csv"),
        (("push", ".", NAME, "--eval", "Set5=no.csv"), "no.csv"),
        (("push", ".", NAME, "--base-model", "x"), "got the repository 'x'"),
        (("pull", "owner"), "got the repository 'owner'"),
        (("pull", NAME, "-o", "file"), "got the file file for an output"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_asked(words: tuple[str, ...], text: str, hub: Hub) -> None:
    Path("file").write_text("x")
    said = run(*words)
    assert said.exit_code in (1, 2)
    assert text in said.stderr
    assert hub.asked == []


def test_list(hub: Hub, saved: Path) -> None:
    assert run("push", saved, NAME).exit_code == 0
    lines = run("list", "--hub", "owner").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [*mga.list_pretrained(), *mga.list_students(), NAME]
    assert lines[-1] == f"{NAME:<11}  on the Hub"


@pytest.mark.slow
def test_the_shell_completes_names(tmp_path: Path) -> None:
    """As bash asks: no torch is imported for it."""
    variables = {
        **os.environ,
        "_MGA_WRAP_COMPLETE": "complete_bash",
        "COMP_WORDS": "mga-wrap inspect fsr",
        "COMP_CWORD": "2",
        "PYTHONPATH": str(Path(mga.__file__).parents[1]),
    }
    code = """
import sys
from mga_wrap.cli import app
sys.argv = ["mga-wrap"]
try:
    app(prog_name="mga-wrap")
finally:
    print("torch" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert said.stdout.split() == ["fsrcnn-m-x2", "fsrcnn-m-x3", "fsrcnn-m-x4", "False"], said.stderr
