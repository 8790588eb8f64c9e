"""load_exported: what a graph would answer with wrong pixels is refused, and so is what torch would execute."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.plain import build

import mga_wrap as mga
from mga_wrap.exporting.program import quietly
from mga_wrap.exporting.pt2_archive import FACTS, _is_expression

LR = torch.rand(2, 3, 18, 23, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mga.export(build("LongSkip", 2), tmp_path_factory.mktemp("pt2") / "net.pt2").path


def test_a_wrong_stride_changes_nothing(file: Path) -> None:
    net, model = mga.load_exported(file), build("LongSkip", 2)
    with torch.no_grad():
        expected = model(LR)
        for lr in (
            LR,
            LR.contiguous(memory_format=torch.channels_last),
            LR.transpose(2, 3).contiguous().transpose(2, 3),
            torch.cat([LR, LR], dim=3)[..., :23],
            LR[:, :1].expand(2, 3, 18, 23),
        ):
            torch.testing.assert_close(net(lr), model(lr), atol=1e-6, rtol=0)
        assert net(LR).shape == expected.shape
    assert (net.scale, net.channels, net.smallest, net.size) == (2, 3, 16, None)
    assert not [x for x in net.parameters() if x.requires_grad]


@pytest.mark.parametrize(
    ("lr", "text"),
    [
        (LR.double(), r"got lr in torch\.float64; expected float32 .*lr\.float\(\)"),
        ((LR * 255).byte(), r"got lr in torch\.uint8; expected float32 with values in 0\.\.1"),
        (LR[:, :1], r"got lr of shape \(2, 1, 18, 23\); expected a non-empty \(B, 3, H, W\)"),
        (LR[0], r"got lr of shape \(3, 18, 23\)"),
        (LR[:0], r"got lr of shape \(0, 3, 18, 23\)"),
        (LR[..., :15], "got 15 x 18; expected sides of at least 16 pixels: pad lr"),
        (LR.to("meta"), r"got lr on meta; .*lr\.cpu\(\)"),
    ],
)
def test_what_the_graph_does_not_take_is_refused(file: Path, lr: torch.Tensor, text: str) -> None:
    with pytest.raises(mga.ArgumentError, match=text):
        mga.load_exported(file)(lr)


def changed(file: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], Any], **options: Any) -> Path:
    """The archive with other members, by names without its root."""
    with zipfile.ZipFile(file) as archive:
        members = {info.filename.partition("/")[2]: archive.read(info) for info in archive.infolist()}
    change(members)
    other = tmp_path / "changed.pt2"
    with zipfile.ZipFile(other, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(f"archive/{name}", content)
    return other


def text(name: str, old: str, new: str) -> Callable[[dict[str, bytes]], Any]:
    """A change of text in a member."""

    def change(members: dict[str, bytes]) -> None:
        before = members[name].decode()
        assert old in before
        members[name] = before.replace(old, new, 1).encode()

    return change


class Touches:
    """A pickle that would leave a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def test_an_archive_that_was_only_written_anew_is_read(file: Path, tmp_path: Path) -> None:
    with torch.no_grad():
        same = mga.load_exported(changed(file, tmp_path, dict))(LR)
        assert torch.equal(same, mga.load_exported(file)(LR))


GRAPH, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (text(GRAPH, '"guards_code": []', '"guards_code": ["TRACE"]'), "it holds guards, which are code"),
        (text(GRAPH, "torch.ops.aten.relu.default", "torch.load"), "it holds 'torch.load' as target"),
        (text(GRAPH, "torch.ops.aten.relu.default", "torch.ops.aten.from_file"), "from_file' as target"),
        (text(GRAPH, "torch.ops.aten.relu.default", "torch.ops.aten.__class__"), "__class__' as target"),
        (text(GRAPH, "torch.ops.aten.relu.default", "#evil"), "it holds '#evil' as target"),
        (text(GRAPH, '"name": "image"', '"name": "image=print(1)"'), r"it holds 'image=print\(1\)' as name"),
        (text(GRAPH, "builtins.tuple", "collections.namedtuple"), "as in_spec"),
        (text(GRAPH, "Symbol(", "__import__('os').system("), "it holds .__import__.* as expr_str"),
        (text(WEIGHTS, '"use_pickle": false', '"use_pickle": true'), "it holds a pickle, net"),
        (text(WEIGHTS, '"as_int": 8', '"as_int": 8888888'), "is larger than the file"),
        (lambda members: members.update({"data/weights/model.pt": b""}), "it holds 'data/weights/model.pt'"),
        (lambda members: members.pop("extra/" + FACTS), "it does not say what it is"),
        (lambda members: members.pop(GRAPH), "makes no network of it"),
        (lambda members: members.update({"extra/" + FACTS: b'{"scale": 2}'}), "something else than text"),
        (lambda members: members.update({GRAPH: b"[" * 10_000}), "no archive of torch.export"),
    ],
)
def test_nothing_else_may_stand_in_an_archive(
    file: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], Any], said: str
) -> None:
    other = changed(file, tmp_path, change)
    with pytest.raises(mga.CheckpointError, match=rf"changed\.pt2 is not loaded: .*{said}.*expected a file that mga_w"):
        mga.load_exported(other)


def test_pickles_are_not_opened(file: Path, tmp_path: Path) -> None:
    trace, buffer = tmp_path / "trace", io.BytesIO()
    torch.save((Touches(trace),), buffer)
    evil = buffer.getvalue()
    other = changed(file, tmp_path, lambda members: members.update({"data/sample_inputs/model.pt": evil}))
    with pytest.raises(mga.CheckpointError, match="it holds a pickle, data/sample_inputs"):
        mga.load_exported(other)
    assert not trace.exists()
    with quietly():
        torch.export.load(other)  # which opens it: there is something to guard against
    assert trace.exists()


def test_what_is_packed_small_is_not_unpacked(file: Path, tmp_path: Path) -> None:
    other = changed(
        file,
        tmp_path,
        lambda members: members.update({"data/weights/weight_0": bytes(10_000_000)}),
        compression=zipfile.ZIP_DEFLATED,
    )
    with pytest.raises(mga.CheckpointError, match="what it holds is larger than the file"):
        mga.load_exported(other)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pickle.dumps(1), json.dumps({}).encode()])
def test_something_else_is_no_archive(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "other.pt2").write_bytes(content)
    with pytest.raises(mga.CheckpointError, match=r"other\.pt2 is not loaded: it is no archive of torch\.export"):
        mga.load_exported(tmp_path / "other.pt2")
    with pytest.raises(mga.CheckpointError, match=r"nowhere\.pt2 cannot be read"):
        mga.load_exported(tmp_path / "nowhere.pt2")


@pytest.mark.parametrize(
    ("expression", "right"),
    [
        ("Add(Symbol('s73', positive=True, integer=True), Integer(-1))", True),
        ("Min(Integer(20), FloorDiv(Symbol('s6', integer=True), Integer(2)))", True),
        ("s6.__class__", False),
        ("open('x')", False),
        ("Symbol('s6 + 1')", False),
        ("Symbol('s6', positive=open('x'))", False),
        ("[Integer(1) for x in Integer(1)]", False),
        ("(lambda: Integer(1))()", False),
        ("Integer(*[1])", False),
        ("Integer(", False),
        ("-" * 5000 + "1", False),
    ],
)
def test_expressions_of_sizes(expression: str, right: bool) -> None:
    assert _is_expression(expression) is right
