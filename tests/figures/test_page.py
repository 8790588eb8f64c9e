"""A page of figures: one file, pictures inside, names escaped."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mga_wrap.errors import ImageError
from mga_wrap.figures.page import figure_html, write_page


def test_a_figure_holds_its_picture_bit_for_bit() -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    text = figure_html('a"<b>', image)
    assert 'id="a&quot;&lt;b&gt;"' in text
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    with Image.open(io.BytesIO(base64.b64decode(data))) as found:
        assert np.array_equal(np.asarray(found), image)


def test_a_page_has_a_title_notes_and_every_figure(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.html"
    write_page(["<figure>1</figure>", "<figure>2</figure>"], path, title="Set5 <x4>", notes="a & b")
    text = path.read_text(encoding="utf-8")
    assert text.count("Set5 &lt;x4&gt;") == 2  # of the window and of the page
    assert "a &amp; b" in text
    assert text.index("<figure>1") < text.index("<figure>2")
    assert not re.search(r"https?://", text)


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot write"):
        write_page([], tmp_path, title="", notes="")
