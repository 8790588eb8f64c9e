"""The Hugging Face Hub by way of huggingface_hub: networks down and up, its errors told as ours.

Of a repository only config.json or network.json, model.safetensors, and a .safetensors file that config.json names are
ever fetched: pickles and code beside them stay where they are. The cache, HF_HOME, HF_ENDPOINT, HF_TOKEN and
HF_HUB_OFFLINE are huggingface_hub's and mean what they always mean.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_download, scan_cache_dir
from huggingface_hub.errors import (
    CacheNotFound,
    EntryNotFoundError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from mga_wrap.card import FRONT, LIBRARY, PICTURE
from mga_wrap.checkpoint import CONFIG, LARGEST_CONFIG, WEIGHTS
from mga_wrap.errors import CheckpointError, one_line
from mga_wrap.names import PLAIN, check_repo
from mga_wrap.version import __version__

LARGEST_WEIGHTS = 2_000_000_000
"""Bytes of a file of weights that is fetched: the largest super-resolution networks have some hundred million."""
PUSHED = (CONFIG, PLAIN, WEIGHTS, "README.md", "LICENSE", FRONT, PICTURE)
"""What of a folder goes to the Hub, beside what is named: no training's state, no pickle, no note of the user's."""


def download(
    repo: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    config_name: str = CONFIG,
) -> Path:
    """Fetch a network of this package, or find it in the cache: both files of one commit.

    Args:
        repo: "owner/name".
        revision: a branch, a tag or a commit; None: main.
        token: None: HF_TOKEN or what `hf auth login` has kept; False: none.
        local_files_only: ask nobody, take what the cache has.
        config_name: of an accelerated network, or `PLAIN`.

    Returns:
        The folder of that commit in the cache, with the config and model.safetensors.

    Raises:
        CheckpointError: there is no such repository, revision or file, it may not be read, it is too large, or the Hub
            cannot be reached and the cache does not hold it.
    """
    config = download_file(
        repo, config_name, revision=revision, token=token, local_files_only=local_files_only, largest=LARGEST_CONFIG
    )
    commit = config.parent.name
    download_file(repo, WEIGHTS, revision=commit, token=token, local_files_only=local_files_only)
    return config.parent


def download_plain(repo: str, *, revision: str | None = None) -> Path | None:
    """`download` of a network that is not cut; None where there is none, or whatever else is wrong.

    Who gets None asks for an accelerated network, and the same repository tells what is wrong then.
    """
    try:
        return download(repo, revision=revision, config_name=PLAIN)
    except CheckpointError:
        return None


def download_file(
    repo: str,
    name: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    largest: int = LARGEST_WEIGHTS,
) -> Path:
    """Fetch one file, or find it in the cache; its size is asked before its content. Errors as `download`."""
    check_repo(repo)
    with _told(repo, revision=revision, name=name):
        known = hf_hub_download(
            repo,
            name,
            revision=revision,
            token=token,
            local_files_only=local_files_only,
            library_name=LIBRARY,
            library_version=__version__,
            dry_run=True,
        )
        if known.file_size is None or known.file_size > largest:
            raise CheckpointError(
                f"{repo} has a {name} of {known.file_size or 'unknown'} bytes; expected at most {largest:,}: it is no "
                "network of mga_wrap"
            )
        return Path(
            hf_hub_download(
                repo,
                name,
                revision=revision,  # not the commit that was found: the cache keeps what a branch led to, for offline
                token=token,
                local_files_only=local_files_only,
                library_name=LIBRARY,
                library_version=__version__,
            )
        )


def push(
    folder: Path,
    repo: str,
    *,
    also: Iterable[str] = (),
    private: bool | None = None,
    create_pr: bool = False,
    revision: str | None = None,
    message: str | None = None,
    token: str | None = None,
) -> str:
    """Upload a folder that `save_pretrained` wrote, in one commit; the repository is made if it is not there.

    Args:
        folder: of it only `PUSHED` is uploaded,
        also: and these files.
        repo: "owner/name".
        private: of a repository that is made; None: as its owner's default is.
        create_pr: propose it instead of committing it.
        revision: the branch; None: main.
        message: of the commit.
        token: None: HF_TOKEN or what `hf auth login` has kept.

    Returns:
        The address of the commit, or of the pull request.

    Raises:
        ArgumentError: no such name of a repository.
        CheckpointError: it may not be written, or the Hub cannot be reached.
    """
    check_repo(repo)
    api = HfApi(token=token, library_name=LIBRARY, library_version=__version__)
    with _told(repo, revision=revision, name=None):
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            allow_patterns=[glob.escape(name) for name in (*PUSHED, *also)],
            commit_message=message or f"Network, saved by mga_wrap {__version__}",
            create_pr=create_pr,
            revision=revision,
        )
    return str(commit.pr_url or commit.commit_url)


def list_cached() -> tuple[str, ...]:
    """Repositories of which the cache holds both files of a network, sorted."""
    try:
        found = scan_cache_dir(constants.HF_HUB_CACHE)
    except CacheNotFound:
        return ()
    return tuple(
        sorted(
            repo.repo_id
            for repo in found.repos
            if repo.repo_type == "model"
            and any(_is_whole({file.file_name for file in one.files}) for one in repo.revisions)
        )
    )


def _is_whole(names: set[str]) -> bool:
    return WEIGHTS in names and not names.isdisjoint((CONFIG, PLAIN))


def list_remote(owner: str, *, token: str | None = None) -> tuple[str, ...]:
    """Names of an owner's networks for this package, by the library that their cards name, sorted.

    Raises:
        CheckpointError: there is no such owner, or the Hub cannot be reached.
    """
    with _told(owner, revision=None, name=None):
        return tuple(sorted(one.id for one in HfApi(token=token).list_models(author=owner, filter=LIBRARY)))


@contextmanager
def _told(repo: str, *, revision: str | None, name: str | None) -> Iterator[None]:
    """Errors of huggingface_hub as ours: what was asked for, what came, what to do."""
    where = repo if revision is None else f"{repo} at {revision}"
    try:
        yield
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{name} of {where} is not in the cache, and {constants.ENDPOINT} was not asked or did not answer "
            f"({one_line(error.__cause__ or error)}); go online, or give a folder"
        ) from error
    except OfflineModeIsEnabled as error:
        raise CheckpointError(f"{where} needs the Hub, and HF_HUB_OFFLINE is set; go online") from error
    except RevisionNotFoundError as error:
        raise CheckpointError(f"{repo} has no revision {revision!r}; expected a branch, a tag or a commit") from error
    except EntryNotFoundError as error:
        raise CheckpointError(
            f"{where} has no {name}; expected a repository with {CONFIG} and {WEIGHTS}, as net.push_to_hub makes it"
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{constants.ENDPOINT} has no {where}, or shows it to others alone; check the name, and log in with hf "
            "auth login, or give a token, where it is private"
        ) from error
    except HfHubHTTPError as error:
        raise CheckpointError(f"{where}: {constants.ENDPOINT} refused ({one_line(error)}); {_advice(error)}") from error
    except HTTPError as error:
        raise CheckpointError(
            f"{where}: {constants.ENDPOINT} cannot be reached ({one_line(error)}); go online, or give a folder"
        ) from error
    except (OSError, ValueError) as error:  # a download that ends too soon, a full disk, an answer that is no JSON
        raise CheckpointError(f"{where}: {one_line(error)}; try again") from error


def _advice(error: HfHubHTTPError) -> str:
    return (
        "log in with hf auth login, or give a token that may do this"
        if error.response.status_code in (401, 403)
        else "try again later"
    )
