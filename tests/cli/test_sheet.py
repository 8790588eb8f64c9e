"""`mga-wrap sheet`: a page or a folder of figures."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import pytest
from cli.calls import measure, picture
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("style", ["paper", "pretrained"])
def test_a_page_holds_its_pictures(style: str, nets: dict[str, Path], data: Path, tmp_path: Path) -> None:
    result = measure("sheet", data, nets[style], "-o", tmp_path / "new" / "a.html", "--k", "0.2")
    assert (result.exit_code, result.stderr) == (0, "")
    page = (tmp_path / "new" / "a.html").read_text()
    pictures = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(pictures) == 3
    assert not re.search(r'(?:src|href)="(?!data:)', page)
    with Image.open(io.BytesIO(base64.b64decode(pictures[0]))) as image:
        assert image.width == 1720


def test_a_sheet_goes_into_a_page_or_a_folder(nets: dict[str, Path], data: Path, tmp_path: Path) -> None:
    result = measure("sheet", data / "0.png", nets["paper"], "-o", tmp_path / "a.png")
    assert result.exit_code == 2
    assert "a.png; expected a page (sheet.html), or a folder without a suffix" in result.stderr
    picture(data / "0.bmp", 40, 48)
    result = measure("sheet", data, nets["paper"], "-o", tmp_path / "out")
    assert (result.exit_code, (tmp_path / "out").exists()) == (2, False)
    assert "0.bmp and 0.png would both be written to 0_sheet.png; write a page: -o sheet.html" in result.stderr
    assert measure("sheet", data / "0.png", nets["paper"], "-o", tmp_path / "out").exit_code == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["0_sheet.png"]
