"""Errors: one tree, one line, the nearest known word."""

from __future__ import annotations

import inspect

import pytest

from mga_wrap import errors
from mga_wrap.errors import MGAError, nearest, one_line


def test_every_error_has_one_parent_and_is_told_in_the_tree() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    kinds = [kind for kind in kinds if not issubclass(kind, Warning)]
    assert len(kinds) > 5
    for kind in kinds:
        assert issubclass(kind, MGAError)
        assert kind.__name__ in str(errors.__doc__)


def test_an_argument_error_is_a_value_error() -> None:
    assert issubclass(errors.ArgumentError, ValueError)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("fsrcn", "'fsrcn'; expected one of fsrcnn, pan; did you mean 'fsrcnn'?"),
        ("PAN", "'PAN'; expected one of fsrcnn, pan; did you mean 'pan'?"),
        ("hat", "'hat'; expected one of fsrcnn, pan"),
        (3, "3; expected one of fsrcnn, pan"),
    ],
)
def test_the_nearest_known_word(word: object, expected: str) -> None:
    assert nearest(word, ["fsrcnn", "pan"]) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("one.\ntwo"), "one"),
        (ValueError("\n  \n two "), "two"),
        (KeyError(), "KeyError"),
        (RuntimeError("x" * 1000), "x" * 300),
    ],
)
def test_an_error_on_one_line(error: Exception, expected: str) -> None:
    assert one_line(error) == expected
