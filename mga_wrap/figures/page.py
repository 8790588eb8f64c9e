"""Figures of a folder on one page of HTML that needs no other file."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mga_wrap.pictures.files import open_whole

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 2rem auto; max-width: 1400px; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; color: #191919;
  background: #fff; }}
h1 {{ font-size: 1.4rem; font-weight: 600; }}
p {{ color: #555; max-width: 60rem; }}
figure {{ margin: 2.5rem 0; }}
img {{ width: 100%; height: auto; border: 1px solid #e4e4e4; }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{notes}</p>
{figures}
</body>
</html>
"""


def write_page(figures: Sequence[str], path: Path, *, title: str, notes: str) -> None:
    """Write a page of figures from `figure_html`.

    Raises:
        ImageError: the file cannot be written.
    """
    page = _PAGE.format(title=html.escape(title), notes=html.escape(notes), figures="\n".join(figures))
    with open_whole(path) as handle:
        handle.write(page.encode(errors="surrogateescape"))


def figure_html(name: str, image: np.ndarray) -> str:
    """A figure, (H, W, 3) uint8, as a piece of HTML that holds its picture."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", optimize=True)
    data, name = base64.b64encode(buffer.getvalue()).decode(), html.escape(name)
    return f'<figure id="{name}"><img alt="{name}" src="data:image/png;base64,{data}"></figure>'
