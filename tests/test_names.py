"""Names of networks: in the package, on the Hub, files on the Hub; and that they are known without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mga_wrap as mga
from mga_wrap.names import check_repo, hub_file, is_repo, shipped_folder


@pytest.mark.parametrize("name", ["owner/name", "o/n", "My-Org/pan.m_x4", "0wner/0"])
def test_repositories(name: str) -> None:
    assert is_repo(name)
    assert check_repo(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "name", "a/b/c", "./name", "../name", "owner/..", "owner/", "/name", "owner/a--b", "owner/a.git", "o\\n",
     "owner/na me", "öwner/name", "owner/name\n", "owner/" + "a" * 100, "C:/name", None, 3, Path("owner/name")],
)  # fmt: skip
def test_what_is_no_repository(name: object) -> None:
    assert not is_repo(name)
    with pytest.raises(mga.ArgumentError, match=r"got the repository .*; expected owner/name, as on the Hub"):
        check_repo(name)


def test_files_on_the_hub() -> None:
    assert hub_file("owner/name:net.safetensors") == ("owner/name", "net.safetensors")
    for spec in ("owner/name:net.pth", "owner/name", "name:a.safetensors", "owner/name:../a.safetensors", "a.py:B"):
        assert hub_file(spec) is None


def test_the_package_holds_what_it_lists() -> None:
    for name in mga.list_pretrained():
        assert {file.name for file in shipped_folder(name).iterdir()} == {"config.json", "model.safetensors"}


def test_names_are_known_without_torch_and_the_hub() -> None:
    code = "import sys, mga_wrap as mga; mga.list_pretrained(); print(*sys.modules)"
    path = {**os.environ, "PYTHONPATH": str(Path(mga.__file__).parents[1])}
    said = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True, check=True)
    assert not {"torch", "huggingface_hub", "numpy"} & set(said.stdout.split())
