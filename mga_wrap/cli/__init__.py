"""The command line: ``mga-wrap upscale``, ``inspect``, ``eval``, ``bench`` and ``tables``, a file each.

torch is imported inside the commands, so that ``--help`` and ``--version`` answer at once. Exit codes: 0 everything was
done, 1 something failed (one line on stderr for each failure), 2 the command line makes no sense.
"""

from mga_wrap.cli import bench, evaluate, inspect, tables, upscale
from mga_wrap.cli.app import app

__all__ = ["app", "bench", "evaluate", "inspect", "main", "tables", "upscale"]


def main() -> None:
    """Run the command line."""
    app()
