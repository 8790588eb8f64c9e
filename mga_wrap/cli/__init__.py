"""The command line: ``mga-wrap upscale``, ``inspect``, ``eval``, ``bench`` and the others.

A command is two files of one name. Here it is declared: its options, their help, and what can be seen to be wrong from
them alone. In ``work/`` it is done, by a function of the same name and parameters. Only that imports torch, and it is
imported when the command runs (`mga_wrap.cli.app.command`), so that ``--help`` and errors answer at once.

Exit codes: 0 everything was done, 1 something failed (one line on stderr for each failure), 2 the command line makes no
sense.
"""

import gc
import io
import sys

from mga_wrap.cli import (
    bench,
    choice,
    distill,
    evaluate,
    export,
    fit,
    inspect,
    list_networks,
    mask_accuracy,
    pull,
    push,
    sheet,
    tables,
    train,
    upscale,
)
from mga_wrap.cli.app import app
from mga_wrap.memory import keep_freed_memory

__all__ = [
    "app",
    "bench",
    "choice",
    "distill",
    "evaluate",
    "export",
    "fit",
    "inspect",
    "list_networks",
    "main",
    "mask_accuracy",
    "pull",
    "push",
    "sheet",
    "tables",
    "train",
    "upscale",
]


def main() -> None:
    """Run the command line."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name need not be text: it is printed byte for byte
        sys.stdout.reconfigure(errors="surrogateescape")
    if "bench" not in sys.argv[1:2]:  # which times networks as they run in a process that nobody has prepared
        keep_freed_memory()
    gc.disable()  # until torch is imported, which makes no garbage: to look for it takes a tenth of the time to start
    app()
