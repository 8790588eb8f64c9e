"""What `mga-wrap push` does."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from mga_wrap import remote
from mga_wrap.card import BENCH_COLUMNS, EVAL_COLUMNS, Measured, Notes, card_of, read_table
from mga_wrap.checkpoint import CONFIG, read_config
from mga_wrap.errors import ArgumentError
from mga_wrap.hub import check_checkpoint
from mga_wrap.names import PLAIN
from mga_wrap.networks.plain import load_plain
from mga_wrap.origin import file_digest
from mga_wrap.saved import BY_ITSELF, checked_config, files_of


def push(
    folder: Path,
    repo: str,
    private: bool | None,
    create_pr: bool,
    revision: str | None,
    message: str | None,
    evals: dict[str, Path],
    bench: Path | None,
    licence: str | None,
    base_model: str | None,
    originals: list[Path],
) -> None:
    """Check, write the card, upload; prints the address."""
    with TemporaryDirectory() as made:
        staged = Path(made)
        for name in remote.PUSHED:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, staged / name)
        also = [_beside(original, folder, staged) for original in originals]
        config = PLAIN if (staged / PLAIN).is_file() else CONFIG
        if config == PLAIN:
            load_plain(staged)
        else:
            check_checkpoint(staged)
        measured = Measured(
            {name: read_table(path, columns=EVAL_COLUMNS) for name, path in evals.items()},
            [] if bench is None else read_table(bench, columns=BENCH_COLUMNS),
        )
        if measured != Measured() or not (staged / "README.md").is_file():
            card_of(
                read_config(staged / config),
                name=repo,
                measured=measured,
                notes=Notes(licence, base_model),
                pictures=[name for name in remote.PUSHED if (staged / name).is_file()],
            ).save(staged / "README.md")
        elif licence is not None or base_model is not None:
            raise ArgumentError(f"got --license or --base-model, and {folder} has a README.md; write them there")
        print(
            remote.push(
                staged, repo, also=also, private=private, create_pr=create_pr, revision=revision, message=message
            )
        )


def _beside(original: Path, folder: Path, staged: Path) -> str:
    """Put the file of an original beside the checkpoint, under the name by which it is looked for."""
    needed = files_of(checked_config(folder / CONFIG), folder / CONFIG)
    digest = file_digest(original)
    name = next((one.name for one in needed if one.sha256 == digest), None)
    if name is None:
        names = " and ".join(f"{one.name} (sha256 {one.sha256})" for one in needed) or f"no {BY_ITSELF} file"
        raise ArgumentError(f"got --original {original} (sha256 {digest}) for {folder}, which was made from {names}")
    if Path(name).name != name:
        raise ArgumentError(f"got {folder}, made from {name}, which is no name of a file")
    shutil.copyfile(original, staged / name)
    return name
