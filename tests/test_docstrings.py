"""The examples in public docstrings run and print what they say."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import pytest

import mga_wrap as mga
from mga_wrap.backbones import registry

SHOWN = ("CutConfig", "MGANet", "accelerate", "from_pretrained", "inspect", "register_backbone", "upscale")
"""These have to have an example; others may."""


def examples() -> list[doctest.DocTest]:
    found = []
    for name in mga.__all__:
        value = getattr(mga, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            tests = doctest.DocTestFinder(recurse=False).find(value, name=name, globs={})
            found += [test for test in tests if test.examples]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("example", examples(), ids=lambda test: test.name)
def test_an_example_prints_what_it_says(
    example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_BACKBONES", dict(registry._BACKBONES))  # an example registers one of its own
    report: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example, out=report.append)
    assert not report, "".join(report)


def test_what_people_call_first_has_an_example() -> None:
    assert set(SHOWN) <= {example.name for example in examples()}


def test_what_is_public_is_all_that_dir_shows() -> None:
    assert dir(mga) == sorted(mga.__all__)
    assert all(getattr(mga, name) is not None for name in mga.__all__)
