"""The Hub: a real client (huggingface_hub) and a real server on loopback that speaks its API."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hub_server import READER, WRITER, Hub, serve
from huggingface_hub import HfApi, ModelCard, ModelHubMixin, constants
from safetensors.torch import save_file
from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

import mga_wrap as mga
from mga_wrap import remote
from mga_wrap.cli import app
from mga_wrap.cli.work.network import Given, find_network
from mga_wrap.networks import load_network
from mga_wrap.origin import origin_of

SHIPPED = "fsrcnn-m-x2"
FILES = Path(mga.__file__).parent / "weights" / SHIPPED
NAME = "owner/fsrcnn"
LR = torch.rand(1, 3, 11, 14, generator=torch.Generator().manual_seed(0))


def content() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in FILES.iterdir()}


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    with torch.no_grad():
        return all(torch.equal(one(LR, k=k), two(LR, k=k)) for k in (0, 0.5, "dense"))


def refusal(*names: object, **options: object) -> str:
    with pytest.raises(mga.CheckpointError) as caught:
        mga.from_pretrained(*names, **options)  # type: ignore[arg-type]
    return str(caught.value)


# Up and down ---------------------------------------------------------------------------------------------------------


def test_a_network_goes_up_and_comes_down_bit_for_bit(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", WRITER)
    net = mga.from_pretrained(SHIPPED)
    assert isinstance(net, ModelHubMixin)
    address = net.push_to_hub(NAME, message="mine")
    assert address == f"{hub.url}/{NAME}/commit/{hub.repos[NAME].refs['main']}"
    assert set(hub.files(NAME)) == {".gitattributes", "README.md", "config.json", "model.safetensors"}
    for again in (mga.from_pretrained(NAME), mga.MGANet.from_pretrained(NAME), load_network(NAME)):
        assert same(again, net)
        assert not again.training
    assert isinstance(find_network(Given(NAME), scale=2, device="cpu"), mga.MGANet)
    card = ModelCard(hub.files(NAME)["README.md"].decode())
    assert (card.data.library_name, card.data.pipeline_tag) == ("mga_wrap", "image-to-image")
    assert f'from_pretrained("{NAME}")' in card.text


def test_what_the_cache_holds_is_not_fetched_again(hub: Hub) -> None:
    hub.make(NAME, content())
    for _ in range(2):
        mga.from_pretrained(NAME)
    assert hub.gets("model.safetensors") == [None]
    assert hub.gets("config.json") == [None]


def test_both_files_are_of_one_commit(hub: Hub) -> None:
    """Somebody pushes between the two downloads."""
    first = hub.make(NAME, content())
    config = remote.download_file(NAME, "config.json")
    other = {**content(), "model.safetensors": b"of another network"}
    hub.make(NAME, other)
    assert config.parent.name == first
    assert same(mga.from_pretrained(NAME, revision=first), mga.from_pretrained(SHIPPED))
    assert {path.split("/")[4] for method, path, _ in hub.asked if method == "GET" and "safetensors" in path} == {first}


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub: Hub) -> None:
    first = hub.make(NAME, content())
    hub.make(NAME, {**content(), "config.json": content()["config.json"].replace(b'"k": 0.25', b'"k": 0.5')})
    hub.repos[NAME].refs["v1"] = first
    assert [mga.from_pretrained(NAME, revision=one).k for one in (None, "main", "v1", first)] == [0.5, 0.5, 0.25, 0.25]
    text = refusal(NAME, revision="v2")
    assert f"{NAME} has no revision 'v2'; expected a branch, a tag or a commit" in text


def test_a_pull_request(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", WRITER)
    net = mga.from_pretrained(SHIPPED)
    net.push_to_hub(NAME)
    net.k = 0.5
    assert net.push_to_hub(NAME, create_pr=True) == f"{hub.url}/{NAME}/discussions/1"
    assert mga.from_pretrained(NAME).k == 0.25
    assert mga.from_pretrained(NAME, revision="refs/pr/1").k == 0.5


def test_a_folder_and_the_package_come_before_the_hub(hub: Hub, tmp_path: Path) -> None:
    hub.make(NAME, content())
    net = mga.from_pretrained(SHIPPED)
    net.k = 0.125
    net.save_pretrained(tmp_path / NAME)
    assert mga.from_pretrained(NAME).k == 0.125
    assert hub.asked == []
    for name in (NAME, SHIPPED):
        with pytest.raises(mga.ArgumentError, match=r"got revision='main' for .*, which is on this disk; leave it out"):
            mga.from_pretrained(name, revision="main")


def test_a_path_is_never_asked_of_the_hub(hub: Hub, tmp_path: Path) -> None:
    for name in (Path(NAME), "./owner/fsrcnn", "a/b/c", "../owner/fsrcnn", "owner/..", "owner\\fsrcnn", f"/{NAME}"):
        assert "is no folder" in refusal(name) or "expected a folder" in refusal(name)
    assert hub.asked == []


# Private -------------------------------------------------------------------------------------------------------------


def test_a_private_repository_needs_a_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    net = mga.from_pretrained(SHIPPED)
    net.push_to_hub(NAME, private=True, token=WRITER)
    assert hub.repos[NAME].private
    for token in (None, READER):
        assert f"{hub.url} has no {NAME}, or shows it to others alone; check the name" in refusal(NAME, token=token)
    assert "401" in refusal(NAME, token="hf_unknown")
    assert same(mga.from_pretrained(NAME, token=WRITER), net)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    assert same(mga.from_pretrained(NAME), net)


@pytest.mark.parametrize("token", [None, READER, "hf_unknown"])
def test_who_may_not_write_is_told(token: str | None, hub: Hub) -> None:
    hub.make(NAME, content())
    before = dict(hub.repos[NAME].refs)
    with pytest.raises(mga.CheckpointError, match=r"refused .*40[13].*; log in with hf auth login, or give a token"):
        mga.from_pretrained(SHIPPED).push_to_hub(NAME, token=token)
    assert hub.repos[NAME].refs == before


@pytest.mark.parametrize("name", ["fsrcnn", "a/b/c", "owner/", "owner/a--b", "", "../x"])
def test_what_is_no_name_of_a_repository_is_refused(name: str, hub: Hub) -> None:
    with pytest.raises(mga.ArgumentError, match=r"got the repository .*; expected owner/name, as on the Hub"):
        mga.from_pretrained(SHIPPED).push_to_hub(name, token=WRITER)
    assert hub.asked == []


def test_a_small_network_that_is_not_cut(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", WRITER)
    model = mga.create_backbone("student-half", scale=2)
    mga.save_network(model, tmp_path / "mine")
    app(["push", str(tmp_path / "mine"), "owner/small"], standalone_mode=False)
    files = hub.files("owner/small")
    assert set(files) == {".gitattributes", "README.md", "model.safetensors", "network.json"}
    assert 'load_network("owner/small")' in files["README.md"].decode()
    app(["pull", "owner/small", "-o", str(tmp_path / "here")], standalone_mode=False)
    for again in (load_network("owner/small"), load_network(tmp_path / "here")):
        assert torch.equal(again(LR), model(LR))
    assert remote.list_cached() == ("owner/small",)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(load_network("owner/small")(LR), model(LR))
    assert " has no config.json; expected" in refusal("owner/small") or "is not in the cache" in refusal("owner/small")


# What goes wrong on the way ------------------------------------------------------------------------------------------


def test_a_download_that_breaks_is_resumed_where_it_broke(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.make(NAME, content())
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)  # what is smaller is not kept when it breaks
    hub.break_after["model.safetensors"] = 100_000
    assert same(mga.from_pretrained(NAME), mga.from_pretrained(SHIPPED))
    assert hub.gets("model.safetensors") == [None, "bytes=100000-"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_is_missing_is_named(name: str, hub: Hub) -> None:
    files = content()
    del files[name]
    hub.make(NAME, files)
    assert f" has no {name}; expected a repository with config.json and model.safetensors" in refusal(NAME)


def test_a_repository_that_is_not_there(hub: Hub) -> None:
    text = refusal("owner/nothing")
    assert text.startswith("owner/nothing is no folder here; on the Hub: ")
    assert f"{hub.url} has no owner/nothing" in text


class _Mine:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return os.putenv, ("MGA_PICKLE", "was run")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pth", "model.pkl", "modeling.py"])
def test_a_pickle_or_code_beside_is_never_fetched(name: str, hub: Hub, tmp_path: Path) -> None:
    hub.make(NAME, {**content(), name: pickle.dumps(_Mine())})
    assert same(mga.from_pretrained(NAME), mga.from_pretrained(SHIPPED))
    assert not any(name in path for _, path, _ in hub.asked)
    assert not list((tmp_path / "cache").rglob(name))


def test_a_pickle_in_the_place_of_the_weights_is_not_run(hub: Hub) -> None:
    hub.make(NAME, {**content(), "model.safetensors": pickle.dumps(_Mine())})
    assert "model.safetensors cannot be read" in refusal(NAME)


@pytest.mark.parametrize(("name", "size"), [("config.json", 100_000_000), ("model.safetensors", 10**12)])
def test_what_is_too_large_is_not_fetched(name: str, size: int, hub: Hub) -> None:
    hub.make(NAME, content())
    hub.said_size[name] = size
    assert f"has a {name} of {size} bytes; expected at most" in refusal(NAME)
    assert hub.gets(name) == []


def test_a_server_that_is_no_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/x/{repo_id}/{revision}/{filename}")
    assert NAME in refusal(NAME)


# Offline -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["variable", "argument", "no server"])
def test_offline_the_cache_is_enough(how: str, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.make(NAME, content())
    net = mga.from_pretrained(NAME)
    hub.asked.clear()
    offline(how, monkeypatch)
    assert same(mga.from_pretrained(NAME, local_files_only=how == "argument"), net)
    assert hub.asked == []


@pytest.mark.parametrize("how", ["variable", "argument"])  # no server: huggingface_hub tries for 20 s
def test_offline_without_a_cache_is_told(how: str, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.make(NAME, content())
    offline(how, monkeypatch)
    text = refusal(NAME, local_files_only=how == "argument")
    assert "config.json of owner/fsrcnn is not in the cache" in text
    assert text.endswith("go online, or give a folder")


def offline(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "variable":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    elif how == "no server":
        address = "http://127.0.0.1:9"  # the port of "discard", where nobody listens
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/{revision}/{filename}")


def test_pushing_offline_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(mga.CheckpointError, match=r"owner/fsrcnn: http://127.0.0.1:9 cannot be reached"):
        mga.from_pretrained(SHIPPED).push_to_hub(NAME, token=WRITER)


# Networks of the user's own ------------------------------------------------------------------------------------------


@pytest.fixture
def original(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    save_file(SRVGGNetCompact(num_feat=8, num_conv=4, upscale=2).state_dict(), path)
    return path


def accelerated(spec: object) -> mga.MGANet:
    net = mga.accelerate(load_network(spec), split_at=2, coarse_tail="light").eval()  # type: ignore[arg-type]
    net.fitted = True
    return net


@pytest.mark.filterwarnings("ignore")
def test_an_original_beside_its_network_is_found_by_itself(hub: Hub, original: Path, tmp_path: Path) -> None:
    net = accelerated(original)
    net.save_pretrained(tmp_path / "saved")
    files = {file.name: file.read_bytes() for file in (tmp_path / "saved").iterdir()}
    hub.make(NAME, {**files, "net.safetensors": original.read_bytes()})
    again = mga.from_pretrained(NAME)
    assert same(again, net)
    assert again.origin == net.origin
    hub.make(NAME, {**files, "net.safetensors": original.read_bytes()[:-4] + b"else"})
    assert "is another file than the file net.safetensors" in refusal(NAME)
    hub.make(NAME, files)
    assert "has no net.safetensors" in refusal(NAME)
    assert same(mga.from_pretrained(NAME, model=load_network(original)), net)


@pytest.mark.filterwarnings("ignore")
def test_an_original_from_the_hub_is_known_by_repository_and_commit(hub: Hub, original: Path, tmp_path: Path) -> None:
    commit = hub.make("else/net", {"net.safetensors": original.read_bytes()})
    net = accelerated("else/net:net.safetensors")
    assert net.origin is not None
    assert (net.origin.repo, net.origin.revision, net.origin.name) == ("else/net", commit, "net.safetensors")
    assert "the file net.safetensors of else/net on the Hub" in str(origin_of(load_network("else/net:net.safetensors")))
    net.save_pretrained(tmp_path / "saved")
    original.unlink()
    hub.make("else/net", {"net.safetensors": b"newer"})
    again = mga.from_pretrained(tmp_path / "saved")  # from that commit, whatever came after it
    assert same(again, net)
    assert again.origin == net.origin


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "changes",
    [
        {"revision": "main"},
        {"revision": "../../main"},
        {"repo": "../else"},
        {"repo": "http://127.0.0.1/else"},
        {"name": "../net.safetensors"},
        {"name": "/etc/passwd"},
        {"name": ".."},
        {"name": "net.safetensors\x00"},
        {"sha256": "0" * 64},
    ],
)
def test_an_original_is_no_way_out(changes: dict[str, str], hub: Hub, original: Path, tmp_path: Path) -> None:
    """What a config.json says of its original leads to one file of one commit, or nowhere."""
    hub.make("else/net", {"net.safetensors": original.read_bytes()})
    accelerated("else/net:net.safetensors").save_pretrained(tmp_path / "saved")
    path = tmp_path / "saved" / "config.json"
    config = json.loads(path.read_text())
    config["original"].update(changes)
    path.write_text(json.dumps(config))
    hub.asked.clear()
    with pytest.raises(mga.MGAError):
        mga.from_pretrained(tmp_path / "saved")
    assert "sha256" in changes or hub.asked == []


@pytest.mark.filterwarnings("ignore")
def test_an_original_that_is_a_pickle_is_not_fetched(hub: Hub, tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(SRVGGNetCompact(num_feat=8, num_conv=4, upscale=2).state_dict(), tmp_path / "net.pth")
    net = accelerated(tmp_path / "net.pth")
    net.save_pretrained(tmp_path / "saved")
    files = {file.name: file.read_bytes() for file in (tmp_path / "saved").iterdir()}
    hub.make(NAME, {**files, "net.pth": (tmp_path / "net.pth").read_bytes()})
    assert "give that: from_pretrained(folder, model=" in refusal(NAME)
    assert not any("net.pth" in path for _, path, _ in hub.asked)


# Lists and the client itself -----------------------------------------------------------------------------------------


def test_lists(hub: Hub) -> None:
    assert remote.list_cached() == ()
    hub.make("owner/other", {"README.md": b"---\nlibrary_name: timm\n---\n"})
    hub.make("else/fsrcnn", content())
    mga.from_pretrained(SHIPPED).push_to_hub(NAME, token=WRITER)
    mga.from_pretrained(NAME)
    remote.download_file("else/fsrcnn", "config.json")  # half of one is none
    assert remote.list_cached() == (NAME,)
    assert remote.list_remote("owner") == (NAME,)
    assert remote.list_remote("nobody") == ()


@pytest.mark.parametrize("fault", ["library_name: [1]", "model-index: x", "tags: {a: 1}"])
def test_the_server_refuses_a_card_that_the_hub_would(fault: str, hub: Hub) -> None:
    """So the cards of the other tests are valid by more than their own measure."""
    hub.make(NAME, {})
    with pytest.raises(ValueError, match=fault.partition(":")[0]):
        HfApi(token=WRITER).upload_file(
            path_or_fileobj=f"---\n{fault}\n---\n".encode(), path_in_repo="README.md", repo_id=NAME
        )


@pytest.mark.slow
def test_the_commands_by_their_variables(tmp_path: Path) -> None:
    """HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE, as a shell sets them."""
    with serve() as hub:
        variables = {
            **os.environ,
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "home"),
            "HF_TOKEN": WRITER,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "PYTHONPATH": str(Path(mga.__file__).parents[1]),
        }

        def call(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "mga_wrap", *words],
                env={**variables, **more},
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )

        pushed = call("push", str(FILES), NAME, "--private")
        assert pushed.returncode == 0, pushed.stderr
        assert pushed.stdout == f"{hub.url}/{NAME}/commit/{hub.repos[NAME].refs['main']}\n"
        assert hub.repos[NAME].private
        pulled = call("pull", NAME, "-o", "here")
        assert (pulled.returncode, pulled.stdout) == (0, "here\n"), pulled.stderr
        assert same(mga.from_pretrained(tmp_path / "here"), mga.from_pretrained(SHIPPED))
        listed = call("list", HF_HUB_OFFLINE="1")
        assert f"{NAME}  in the cache\n" in listed.stdout, listed.stderr
