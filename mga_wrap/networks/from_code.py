"""A network from code of the user's own, named on the command line, in the user's YAML, or by a caller.

Nothing that a checkpoint says comes here: what is imported is what the user has written.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from mga_wrap.errors import ArgumentError, nearest, one_line
from mga_wrap.origin import Origin, remember, unwrapped

_WORD = r"[^\W\d]\w*"
_CODE = re.compile(rf"(.+\.py|{_WORD}(?:\.{_WORD})*):({_WORD}(?:\.{_WORD})*)")


def is_code(spec: str) -> bool:
    """Whether it reads package.module:Factory or file.py:Factory."""
    return _CODE.fullmatch(spec) is not None


def from_code(spec: str, *, args: Mapping[str, Any]) -> nn.Module:
    """Import a class or function and call it.

    Args:
        spec: package.module:Factory, found as Python finds modules and in the current folder, or file.py:Factory. A
            network that is there already is taken as it is.
        args: keyword arguments, as JSON holds them.

    Returns:
        The network in eval mode.

    Raises:
        ArgumentError: there is no such code, it raises, or what it returns is no network.
    """
    found = _CODE.fullmatch(spec)
    if found is None:
        raise ArgumentError(f"got {spec!r}; expected package.module:Factory or file.py:Factory")
    plain, (place, name) = _plain(args), found.groups()
    file = Path(place) if place.endswith(".py") else None
    with _importable(Path.cwd() if file is None else file.resolve().parent):
        factory = _inside(_imported(place, file), name, place)
        model = _made(factory, args, spec)
    if not isinstance(model, nn.Module):
        raise ArgumentError(
            f"{spec} returned {_kind_of(model)}; expected an nn.Module that turns lr (B, 3, H, W) into sr"
        )
    remember(model, Origin("code", f"{place if file is None else file.name}:{name}", args=plain))
    return model.eval()


def _imported(place: str, file: Path | None) -> ModuleType:
    if file is not None and not file.is_file():
        raise ArgumentError(f"got {place}; there is no such file: expected file.py:Factory")
    try:
        return import_module(place) if file is None else _executed(file)
    except (Exception, SystemExit) as error:  # whatever is in the user's code
        if isinstance(error, ModuleNotFoundError) and file is None and f"{place}.".startswith(f"{error.name}."):
            raise ArgumentError(
                f"got {place}; there is no module {error.name} here: expected package.module:Factory that Python "
                "finds from this folder, or file.py:Factory"
            ) from error
        raise ArgumentError(f"{place} cannot be imported: {_said(error)}; expected code that imports") from error


def _executed(file: Path) -> ModuleType:
    """The module in a file, under a name that no other module has."""
    name = "mga_wrap_network_" + re.sub(r"\W", "_", file.stem)
    spec = spec_from_file_location(name, file)
    assert spec is not None  # .py is a suffix that Python knows
    assert spec.loader is not None
    module = module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses look there for the module they are in
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        raise
    return module


def _inside(module: ModuleType, name: str, place: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            own = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
            raise ArgumentError(f"{place} has no {nearest(name, sorted(own))}")
        found = getattr(found, part)
    return found


def _made(factory: Any, args: Mapping[str, Any], spec: str) -> Any:
    if isinstance(unwrapped(factory), nn.Module):
        if args:
            raise ArgumentError(f"got network arguments for {spec}, which is a network already; leave them out")
        return unwrapped(factory)
    if not callable(factory):
        raise ArgumentError(f"{spec} is {_kind_of(factory)}; expected a class or function that returns an nn.Module")
    try:
        return unwrapped(factory(**args))
    except (Exception, SystemExit) as error:  # whatever is in the user's code
        raise ArgumentError(
            f"{spec} failed with the arguments {json.dumps(dict(args), default=repr)}: {_said(error)}; expected "
            "arguments that it takes, as JSON by name"
        ) from error


def _said(error: BaseException) -> str:
    """An error of the user's code in one line, with the line where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [one for one in frames if one.filename != __file__ and not one.filename.startswith("<")]
    nearest_by = [one for one in theirs if "site-packages" not in Path(one.filename).parts] or theirs
    where = f" ({Path(nearest_by[-1].filename).name}, line {nearest_by[-1].lineno})" if nearest_by else ""
    return f"{type(error).__name__}: {one_line(error)}{where}"


def _kind_of(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"


def _plain(args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as JSON gives them back, so that a saved network can be asked for the same."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(args)))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"got network arguments that JSON does not hold ({one_line(error)}); build it") from error
    return plain


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """While the user's code is imported and called, it finds what lies in a folder, as `python file.py` does."""
    text = str(folder)
    sys.path.insert(0, text)
    try:
        yield
    finally:
        if text in sys.path:
            sys.path.remove(text)
