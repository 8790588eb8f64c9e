"""The table of `mga-wrap mask-accuracy`: the paper's Table 1, for any network and any pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mga_wrap.measure.grid import Grid
from mga_wrap.measure.mask_rows import MaskRow, mask_means


def mask_grid(rows: Sequence[MaskRow], *, title: str, paper: Mapping[int, float] | None = None) -> Grid:
    """A line for each k: accuracy on average, by chance, and the paper's where it is given."""
    averages = mask_means(rows)
    columns = ["k", "in both", "accuracy", "by chance", "lowest", "highest"] + (["paper"] if paper else [])
    lines = []
    for row in averages:
        each = [of_picture.accuracy for of_picture in rows if of_picture.asked == row.asked]
        line = [str(row.asked), f"{row.both:.1f}"]
        line += [f"{share:.1%}" for share in (row.accuracy, row.chance, min(each), max(each))]
        if paper:
            line.append(f"{paper[row.asked]:.1f}%" if row.asked in paper else "")
        lines.append(line)
    notes = [f"Means over {len({row.picture for row in rows})} pictures of {averages[0].patches:,.0f} patches."]
    if any(row.k < row.asked for row in rows):
        notes.append("Pictures with no more patches than k count as 100%.")
    return Grid(title, columns, lines, notes=notes)
