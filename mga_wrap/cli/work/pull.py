"""What `mga-wrap pull` does."""

from __future__ import annotations

import shutil
from pathlib import Path

from mga_wrap import remote
from mga_wrap.checkpoint import CONFIG, WEIGHTS
from mga_wrap.errors import CheckpointError
from mga_wrap.files import whole_file
from mga_wrap.hub import check_checkpoint
from mga_wrap.names import PLAIN
from mga_wrap.networks.plain import load_plain
from mga_wrap.saved import files_of


def pull(repo: str, out: Path, revision: str | None) -> None:
    """Download, check, copy; prints the folder."""
    found = remote.download_plain(repo, revision=revision)
    if found is not None:
        load_plain(found)
        names, originals = [WEIGHTS, PLAIN], []
    else:
        found = remote.download(repo, revision=revision)
        names, originals = [WEIGHTS, CONFIG], files_of(check_checkpoint(found), found / CONFIG)
    for original in originals:
        try:
            remote.download_file(repo, original.name, revision=found.name)
        except CheckpointError:
            print(f"note: {repo} has no {original.name}, from which it was made; --original or --base has to give it")
        else:
            names.insert(0, original.name)
    try:
        for name in names:
            with whole_file(out / name) as part:
                shutil.copyfile(found / name, part)
    except OSError as error:
        raise CheckpointError(f"{out} cannot be written ({error}); choose another folder") from error
    print(out)
