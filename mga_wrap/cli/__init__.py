"""The command line: ``mga-wrap upscale``, ``inspect``, ``eval``, ``bench`` and the others, a file each.

torch is imported inside the commands, so that ``--help`` and ``--version`` answer at once. Exit codes: 0 everything was
done, 1 something failed (one line on stderr for each failure), 2 the command line makes no sense.
"""

from mga_wrap.cli import bench, evaluate, inspect, mask_accuracy, sheet, tables, train, upscale
from mga_wrap.cli.app import app

__all__ = ["app", "bench", "evaluate", "inspect", "main", "mask_accuracy", "sheet", "tables", "train", "upscale"]


def main() -> None:
    """Run the command line."""
    app()
