"""Every error that mga_wrap raises on purpose.

```
MGAError                   catch this one to catch them all
├── ArgumentError          an argument out of its range (also a ValueError)
├── CutError               the network cannot be cut, or not there
├── CheckpointError        a checkpoint is missing, broken or of another network
├── TrainingError          a training cannot go on: its loss is not finite
└── ImageError             a file or an array is not an image that can be read or written
```

A message says what was got, what was expected and what to do next.
"""


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
