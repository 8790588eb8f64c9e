"""What was meant by an unknown name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: object, known: Iterable[str]) -> str:
    """The name with what was expected and the known name nearest to it, for the end of an error message."""
    known = list(known)
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{name!r}; expected one of {', '.join(known)}{hint}"
