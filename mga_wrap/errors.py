"""Every error that mga_wrap raises on purpose.

```
MGAError                   catch this one to catch them all
├── ArgumentError          an argument out of its range (also a ValueError)
├── CutError               the network cannot be cut, or not there
├── CheckpointError        a checkpoint is missing, broken or of another network
├── TrainingError          a training cannot go on: its loss is not finite
├── EngineError            a network cannot run in another engine, or computes something else there
└── ImageError             a file or an array is not an image that can be read or written
```

A message says what was got, what was expected and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class MGAError(Exception):
    """The parent of every error raised by mga_wrap."""


class ArgumentError(MGAError, ValueError):
    """An argument is out of its range; the message names the range."""


class CutError(MGAError):
    """The network has no chain of blocks to cut, or cannot be cut at the place asked for."""


class CheckpointError(MGAError):
    """A checkpoint is missing, broken, of a newer format or of another network."""


class ImageError(MGAError):
    """A file or an array is no image, or an image could not be written."""


class TrainingError(MGAError):
    """A training cannot go on; the message names the step and the images, the last good state is kept."""


class EngineError(MGAError):
    """A network cannot run in another engine, or what it computes there is something else."""


class UnfittedWarning(UserWarning):
    """A network is used whose coarse tail and score have never learned anything: see `mga_wrap.fit`."""


class CostWarning(UserWarning):
    """A cut takes more multiply-accumulates than the original; the message says which takes less, if one does."""


class RangeWarning(UserWarning):
    """A network of a pair makes no image of a picture in 0..1: untrained, or of another range of values."""


def nearest(name: object, known: Iterable[str]) -> str:
    """The name with what was expected and the known name nearest to it, for the end of an error message."""
    known = list(known)
    by_small = {word.lower(): word for word in known}
    near = difflib.get_close_matches(str(name).lower(), by_small, n=1, cutoff=0.5)
    hint = f"; did you mean {by_small[near[0]]!r}?" if near else ""
    return f"{name!r}; expected one of {', '.join(known)}{hint}"


def one_line(error: BaseException, *, limit: int = 300) -> str:
    """What an error of another library says, for a sentence of ours: its first line that is not empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")[:limit]


@contextmanager
def in_short(*, limit: int = 2000) -> Iterator[None]:
    """Cut off what an error says, where it quotes a file whose names and values may be as long as they like."""
    try:
        yield
    except MGAError as error:
        if len(str(error)) <= limit:
            raise
        raise type(error)(f"{str(error)[:limit]} ...") from error
