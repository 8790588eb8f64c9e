"""The command line: ``mga-wrap upscale``, ``inspect``, ``eval``, ``tables`` and ``train``, a file each.

torch is imported inside the commands, so that ``--help`` and ``--version`` answer at once. Exit codes: 0 everything was
done, 1 something failed (one line on stderr for each failure), 2 the command line makes no sense.
"""

from mga_wrap.cli import evaluate, inspect, tables, train, upscale
from mga_wrap.cli.app import app

__all__ = ["app", "evaluate", "inspect", "main", "tables", "train", "upscale"]


def main() -> None:
    """Run the command line."""
    app()
