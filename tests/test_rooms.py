"""The plan of the house: what docs/design.md says of the rooms' order, held against the imports of every file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mga_wrap"
FILES = sorted(PACKAGE.rglob("*.py"))


def order() -> list[str]:
    """The rooms from the top: the first words of the lines under "The order of the rooms" in docs/design.md."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    found = re.search(r"The order of the rooms.*?```text\n(.*?)```", text, re.DOTALL)
    assert found, "docs/design.md lacks the order of the rooms"
    return [line.split()[0].removesuffix(".py").rstrip("/") for line in found[1].splitlines() if line[:1].strip()]


def room(module: str) -> str:
    return module.split(".")[1]


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path) -> set[str]:
    """Every module of the package that a file imports, at its top, inside functions, and for types alone."""
    known = {module_of(one) for one in FILES}
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & known) or {str(node.module)}
    return {name for name in found if name == "mga_wrap" or name.startswith("mga_wrap.")}


HOUSE = [file for file in FILES if file.parent != PACKAGE or file.stem not in ("__init__", "__main__")]
"""All but the front door, which names what is public from every room, and is imported by none."""


def test_every_file_stands_in_a_room() -> None:
    assert sorted({room(module_of(file)) for file in HOUSE}) == sorted(order())


@pytest.mark.parametrize("file", HOUSE, ids=module_of)
def test_no_import_from_a_room_further_down(file: Path) -> None:
    rooms = order()
    here = rooms.index(room(module_of(file)))
    upward = [name for name in imports(file) if name == "mga_wrap" or rooms.index(room(name)) > here]
    assert not upward, (
        f"{module_of(file)} imports {', '.join(sorted(upward))}; see the order of the rooms in docs/design.md"
    )


def test_no_circle() -> None:
    """Between files, those of one room included."""
    wants = {module_of(file): imports(file) for file in HOUSE}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' -> '.join((*path[path.index(module) :], module))}"
        if module in done or module not in wants:
            return
        for name in sorted(wants[module]):
            if name != module:
                visit(name, (*path, module))
        done.add(module)

    for module in wants:
        visit(module, ())


def test_the_check_sees_imports_inside_functions(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("def f():\n    from mga_wrap.cut import reach\n    import mga_wrap.hub\n")
    assert imports(file) == {"mga_wrap.cut.reach", "mga_wrap.hub"}
