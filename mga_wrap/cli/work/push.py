"""What `mga-wrap push` does."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from mga_wrap import remote
from mga_wrap.card import BENCH_COLUMNS, EVAL_COLUMNS, Measured, Notes, card_of, read_table
from mga_wrap.checkpoint import CONFIG, read_config
from mga_wrap.errors import ArgumentError
from mga_wrap.hub import BY_ITSELF, check_checkpoint
from mga_wrap.origin import file_digest


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
    original: Path | None,
) -> None:
    """Check, write the card, upload; prints the address."""
    with TemporaryDirectory() as made:
        staged = Path(made)
        for name in remote.PUSHED:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, staged / name)
        also = [_beside(original, folder, staged)] if original is not None else []
        check_checkpoint(staged)
        measured = Measured(
            {name: read_table(path, columns=EVAL_COLUMNS) for name, path in evals.items()},
            [] if bench is None else read_table(bench, columns=BENCH_COLUMNS),
        )
        if measured != Measured() or not (staged / "README.md").is_file():
            card_of(
                read_config(staged / CONFIG),
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
    """Put the original's file beside the checkpoint, under the name that it is looked for."""
    recorded = read_config(folder / CONFIG).get("original") or {}
    name = str(recorded.get("name"))
    if recorded.get("kind") != "file" or not name.endswith(BY_ITSELF) or Path(name).name != name:
        raise ArgumentError(
            f"got --original {original} for {folder}, which was not made from a {BY_ITSELF} file; leave it out"
        )
    if file_digest(original) != recorded.get("sha256"):
        raise ArgumentError(f"got --original {original}, another file than {name} from which {folder} was made")
    shutil.copyfile(original, staged / name)
    return name
