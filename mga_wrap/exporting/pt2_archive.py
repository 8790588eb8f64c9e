"""What may stand in a .pt2 before torch reads it.

torch.export.load unpickles what an archive tells it to, evaluates its expressions of sizes and executes its guards. So
an archive is looked through first: no pickle, no guard, expressions of a few known functions, operators of aten alone.
What `mga_wrap.export` writes holds nothing else.
"""

from __future__ import annotations

import ast
import io
import json
import math
import re
from collections.abc import Iterator
from typing import Any

from mga_wrap.errors import CheckpointError, one_line

FACTS = "mga_wrap.json"
"""What the file says of itself, among torch's extra files."""
PLAIN = re.compile(r"[\w./+-]{0,300}")
"""Text that is a name, and nothing else by whatever it may be read."""
OPERATOR = re.compile(
    r"torch\.ops\.aten\.(?!from_file|__(?!(and|or|xor|lshift|rshift)__))\w+(\.\w+)?|torch\._?sym_\w+|math\.[a-z]\w*"
    r"|_operator\.(add|sub|mul|neg|pos|abs|floordiv|truediv|mod|pow|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem)"
)
MEMBER = re.compile(
    r"data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
    rf"|models/model\.json|data/sample_inputs/model\.pt|extra/{re.escape(FACTS)}"
    r"|archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
)
EMPTY = "data/sample_inputs/model.pt"
"""It would be unpickled."""
NAMES = re.compile(r"[A-Za-z]\w{0,60}")
FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        "Symbol Integer Rational Add Mul Pow Max Min Mod FloorDiv CeilDiv CleanDiv PythonMod ModularIndexing "
        "Piecewise ExprCondPair Tuple Equality Unequality StrictLessThan LessThan StrictGreaterThan GreaterThan "
        "And Or Not IntTrueDiv FloatTrueDiv ToFloat TruncToInt CeilToInt FloorToInt RoundToInt PowByNatural Identity",
    )
)
"""Of which an expression of sizes may be made."""
CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict")


def check_archive(content: bytes) -> dict[str, str]:
    """See that an archive holds nothing but numbers, a graph and text; returns what it says of itself.

    It is read by torch's own reader of archives, so that what is seen here is what is loaded.

    Raises:
        CheckpointError: it holds something else.
    """
    try:
        from torch.export.pt2_archive import PT2ArchiveReader
    except ImportError as error:
        raise CheckpointError("this torch reads no such file; update it with pip install -U torch") from error
    try:
        with PT2ArchiveReader(io.BytesIO(content)) as reader:
            names = [name.removeprefix("/") for name in reader.get_file_names()]
            sizes = {name: reader.archive_file.get_record_size(name) for name in names}
            _check_members(sizes, len(content))
            texts = {name: reader.read_string(name) for name in names if name.endswith(".json")}
        facts: dict[str, str] = {}
        for name, text in texts.items():
            found = json.loads(text)
            if name == f"extra/{FACTS}":
                facts = _facts(found)
            else:
                _check_value(found)
                if name.endswith("_config.json"):
                    _check_payload(found, name.rpartition("/")[0], sizes)
        if not facts:
            raise CheckpointError("it does not say what it is")
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise CheckpointError(f"it is no archive of torch.export ({one_line(error)})") from error
    return facts


def _check_members(sizes: dict[str, int], limit: int) -> None:
    for name in sizes:
        if MEMBER.fullmatch(name) is None:
            raise CheckpointError(f"it holds {name[:100]!r}")
    if sizes.get(EMPTY):
        raise CheckpointError(f"it holds a pickle, {EMPTY}")
    if sum(sizes.values()) > limit:  # torch writes without compression
        raise CheckpointError("what it holds is larger than the file")


def _facts(found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise CheckpointError(f"{FACTS} holds something else than text by name")
    return found


def _check_payload(config: Any, folder: str, sizes: dict[str, int]) -> None:
    """Tensors are raw numbers, and as large as they say."""
    for name, one in config["config"].items():
        if one["use_pickle"] is not False:
            raise CheckpointError(f"it holds a pickle, {name[:100]}")
        numbers = math.prod(side["as_int"] for side in one["tensor_meta"]["sizes"])
        if numbers > 1 and not numbers <= sizes[f"{folder}/{one['path_name']}"]:
            raise CheckpointError(f"{name[:100]} is larger than the file")


def _check_value(value: Any, key: str = "") -> None:
    """Every text in a JSON, by where it stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_text(name, "")
            _check_value(inner, name)
    elif isinstance(value, list):
        if key == "guards_code" and value:
            raise CheckpointError("it holds guards, which are code")
        for inner in value:
            _check_value(inner, key)
    elif isinstance(value, str):
        _check_text(value, key)


def _check_text(text: str, key: str) -> None:
    if key == "expr_str":
        right = _is_expression(text)
    elif key in ("in_spec", "out_spec"):
        right = not text or all(one in CONTAINERS for one in _types(json.loads(text)))
    elif key == "target":
        right = OPERATOR.fullmatch(text) is not None
    else:
        right = PLAIN.fullmatch(text) is not None
    if not right:
        raise CheckpointError(f"it holds {text[:100]!r}" + (f" as {key}" if key else ""))


def _types(spec: Any) -> Iterator[Any]:
    """The types of containers that a tree of arguments names; anything unknown is one, too."""
    version, tree = spec
    yield None if version == 1 else version
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        yield one["type"]
        if set(one) != {"type", "context", "children_spec"}:
            yield str(sorted(one))
        context = one["context"]
        if context is not None:
            keys = json.loads(context)
            yield None if keys is None or all(PLAIN.fullmatch(key) for key in keys) else context
        waiting += one["children_spec"]


def _is_expression(text: str) -> bool:
    """Whether it is built of known functions and numbers: it is evaluated as Python."""
    if len(text) > 20_000:
        return False
    try:
        return _is_part(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False


def _is_part(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) or (isinstance(node.value, str) and _is_name(node.value))
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and _is_part(node.operand)
    if isinstance(node, ast.Name):
        return node.id in ("true", "false", "oo", "int_oo")
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in FUNCTIONS:
        return False
    named = [one.value for one in node.keywords]
    return all(isinstance(one, ast.Constant) and isinstance(one.value, bool) for one in named) and all(
        _is_part(one) for one in node.args
    )


def _is_name(text: str) -> bool:
    return NAMES.fullmatch(text) is not None
