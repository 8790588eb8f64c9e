"""The page of one picture's figure: its rows, its panels, and text that stays inside."""

from __future__ import annotations

import numpy as np

from mga_wrap.figures.sheet_layout import WIDTH, Panel, SheetFigure, panel_width


def test_text_of_a_narrow_panel_fits() -> None:
    black = np.zeros((50, 10, 3), np.uint8)
    panel = Panel(black, "a rather long name of a panel", "30.12 dB / 0.9123")
    image = SheetFigure("", [panel] * 8, [panel]).draw()
    gaps = image[:, 24 + 193 + 2 : 24 + 193 + 16]  # between the first panel of eight and the second
    assert (gaps[: image.shape[0] // 4] == 255).all()


def test_two_rows_of_panels_keep_their_order_and_colours() -> None:
    colours = ((200, 0, 0), (0, 200, 0), (0, 0, 200))
    panels = [Panel(np.full((40, 40, 3), colour, np.uint8), "a") for colour in colours]
    image = SheetFigure("title", panels[:2], panels).draw()
    assert (image.shape[1], image.dtype) == (WIDTH, np.uint8)
    flat = image.reshape(-1, 3)
    places = [np.flatnonzero((flat == colour).all(axis=1)) for colour in colours]
    assert [len(place) for place in places] == [panel_width(2) ** 2 + panel_width(3) ** 2] * 2 + [panel_width(3) ** 2]
    assert [place[0] % WIDTH for place in places[:2]] == [24, 24 + panel_width(2) + 18]


def test_a_tall_picture_is_shown_narrower_than_its_panel() -> None:
    tall = Panel(np.zeros((400, 40, 3), np.uint8), "")
    image = SheetFigure("", [tall, tall], [tall]).draw()
    assert image.shape[0] < 1.35 * panel_width(2) + panel_width(1) + 200
