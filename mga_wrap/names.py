"""What a network may be called: the names in the package, and those on the Hub. Neither needs torch."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from mga_wrap.errors import ArgumentError

CONFIG = "config.json"
PLAIN = "network.json"
"""In place of CONFIG, where the network is not cut."""


def list_pretrained() -> tuple[str, ...]:
    """Names of the weights that come with the package, for `from_pretrained` and `upscale`."""
    return _shipped(CONFIG)


def list_students() -> tuple[str, ...]:
    """Names of the small networks that come with the package, for `distill` and as a base of `accelerate`."""
    return _shipped(PLAIN)


def _shipped(config: str) -> tuple[str, ...]:
    root = resources.files("mga_wrap") / "weights"
    if not root.is_dir():
        return ()
    return tuple(sorted(entry.name for entry in root.iterdir() if (entry / config).is_file()))


def shipped_folder(name: str) -> Path:
    """The folder of one of `list_pretrained()` or `list_students()`."""
    return Path(str(resources.files("mga_wrap") / "weights" / name))


def is_repo(name: object) -> bool:
    """Whether a text may be a repository's name, "owner/name"; whether there is one is not asked."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*/[\w.-]+", name, re.ASCII):
        return False
    from huggingface_hub.errors import HFValidationError  # a fifth of a second, for names that look like it alone
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def check_repo(name: object) -> str:
    """The name of a repository.

    Raises:
        ArgumentError: it cannot be one.
    """
    if not is_repo(name):
        raise ArgumentError(f"got the repository {str(name)[:100]!r}; expected owner/name, as on the Hub")
    return str(name)


def hub_file(spec: str) -> tuple[str, str] | None:
    """The repository and the file of "owner/name:file.safetensors"; None for anything else."""
    found = re.fullmatch(r"([^:]+):([\w.-]+\.safetensors)", spec, re.ASCII)
    return (found[1], found[2]) if found is not None and is_repo(found[1]) else None
