"""The table of `mga-wrap mask-accuracy`."""

from __future__ import annotations

from mga_wrap.measure.mask_rows import MaskRow
from mga_wrap.measure.mask_tables import mask_grid

ROWS = [
    MaskRow("a.png", 9, 9, 30, 6, 6 / 9, 0.3),
    MaskRow("b.png", 9, 9, 50, 9, 1.0, 0.18),
    MaskRow("a.png", 20, 20, 30, 15, 0.75, 2 / 3),
    MaskRow("b.png", 20, 20, 50, 10, 0.5, 0.4),
]


def test_a_line_for_each_k_with_the_lowest_and_the_highest() -> None:
    grid = mask_grid(ROWS, title="Set")
    assert grid.columns == ["k", "in both", "accuracy", "by chance", "lowest", "highest"]
    assert grid.lines[0] == ["9", "7.5", "83.3%", "24.0%", "66.7%", "100.0%"]
    assert grid.notes == ["Means over 2 pictures of 40 patches."]


def test_the_papers_accuracy_stands_beside_where_it_is_known() -> None:
    grid = mask_grid(ROWS, title="Set", paper={9: 66.7})
    assert grid.columns[-1] == "paper"
    assert [line[-1] for line in grid.lines] == ["66.7%", ""]


def test_pictures_that_have_fewer_patches_are_told() -> None:
    grid = mask_grid([MaskRow("a.png", 400, 30, 30, 30, 1.0, 1.0)], title="Set")
    assert grid.notes[-1] == "Pictures with no more patches than k count as 100%."
