"""The tables of `mga-wrap eval`: a line a picture, and the means."""

from __future__ import annotations

from mga_wrap.measure.eval_tables import mean_grid, quality_grid
from mga_wrap.measure.rows import Row


def rows(*, timed: bool = True) -> list[Row]:
    return [
        Row(
            name,
            None if k == "original" else k,
            p=p,
            original=k == "original",
            psnr_y=30 + cost,
            ssim_y=0.9,
            share=cost / 4,
            macs=int(1e9 * cost),
            macs_paper=1,
            seconds=0.1 * cost if timed else None,
        )
        for name in ("a.png", "b.png")
        for k, p, cost in ((0, None, 1), (60, 8, 2), (240, 4, 2.5), (120, 4, 2.2), ("original", None, 4))
    ]


def test_the_tables_of_an_evaluation() -> None:
    grid = quality_grid(rows(), title="Set")
    assert grid.columns == ["picture", "k = 0", "k = 60, p = 8", "k = 240, p = 4", "k = 120, p = 4", "original"]
    assert [line[0] for line in grid.lines] == ["a.png", "b.png", "mean"]
    assert grid.lines[2][2] == "32.000 / 0.9000"
    averages = mean_grid(rows(timed=False), title="Set")
    # Nothing was timed, nor compared in RGB.
    assert averages.columns == [
        "",
        "PSNR-Y",
        "SSIM-Y",
        "refined",
        "GMACs",
        "of the original",
    ]
    assert averages.lines[0] == ["k = 0 (B)", "31.000", "0.9000", "25.0%", "1.000", "0.25"]
    assert [line[0] for line in averages.lines[1:3]] == ["k = 60, p = 8 (M)", "k = 240, p = 4 (M)"]
    assert averages.lines[4][0] == "original"
    assert "means over 2 pictures" in averages.title


def test_seconds_are_compared_with_those_of_the_original() -> None:
    averages = mean_grid(rows(), title="Set", notes=["So it is."])
    assert averages.columns[-2:] == ["seconds", "of its seconds"]
    assert [line[-2:] for line in averages.lines][::4] == [["0.1000", "0.25"], ["0.4000", "1.00"]]
    assert averages.notes == ["So it is."]
    without = mean_grid([row for row in rows() if not row.original], title="Set")
    assert "of its seconds" not in without.columns
