"""Write the tables of docs/networks.md: python tests/zoo/report.py [real]; with "real" the one of real sizes too."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from real_sizes import REAL
from study import study
from zoo_networks import ZOO, build

PAGE = Path(__file__).resolve().parents[2] / "docs" / "networks.md"


def zoo_rows() -> list[str]:
    """A row for each network of the zoo."""
    rows = ["| network | patches | blocks | windows | exact halo | why | seconds |", "|---|---|---|---|---|---|---|"]
    return rows + [study(name, build(name)).finding.row() for name in ZOO]


def real_rows() -> list[str]:
    """A row for each network of real size, each measured in a process of its own."""
    rows = ["| network | parameters | seconds | peak memory |", "|---|---|---|---|"]
    script = Path(__file__).with_name("real_sizes.py")
    for name in REAL:
        result = subprocess.run([sys.executable, str(script), name], capture_output=True, text=True, check=True)
        parameters, seconds, memory = result.stdout.split()
        rows.append(f"| {name} | {int(parameters):,} | {float(seconds):.1f} | {float(memory):.2f} GiB |")
    return rows


def put(text: str, name: str, rows: list[str]) -> str:
    """The page with other rows between the marks of a table."""
    pattern = rf"(<!-- table:{name} -->\n).*?(<!-- /table -->)"
    new, count = re.subn(pattern, lambda m: m[1] + "\n".join(rows) + "\n" + m[2], text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"got {count} tables named {name} in {PAGE.name}; expected one")
    return new


if __name__ == "__main__":
    page = put(PAGE.read_text(encoding="utf-8"), "zoo", zoo_rows())
    if "real" in sys.argv[1:]:
        page = put(page, "real", real_rows())
    PAGE.write_text(page, encoding="utf-8")
