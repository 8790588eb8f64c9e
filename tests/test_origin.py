"""Where a network came from: kept, compared, printed, and never imported."""

from __future__ import annotations

import copy
import pickle
import warnings
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from toys.plain import build

import mga_wrap as mga
from mga_wrap.origin import Origin, fingerprint, origin_of, remember, unwrapped

FILE = Origin("file", "net.pth", sha256="a" * 64, class_name="Net", fingerprint="f")
CODE = Origin("code", "net.py:Net", args={"blocks": 4}, class_name="Net", fingerprint="f")
PAN = Origin("backbone", "pan", args={"scale": 4}, class_name="PAN", fingerprint="f")
MODULE = Origin("module", "Net", class_name="Net", fingerprint="f")


@pytest.mark.parametrize("origin", [FILE, CODE, PAN, MODULE, Origin("module", "Net")])
def test_json_both_ways(origin: Origin) -> None:
    assert Origin.from_json(origin.as_json()) == origin


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "original: got list; expected where the network came from"),
        ({"kind": "url", "name": "x"}, "original: got kind='url'; expected backbone, file, code, module"),
        ({"kind": "file"}, "original: got kind='file'"),
        ({"kind": "file", "name": 3}, "original: got name=3; expected text"),
        ({"kind": "code", "name": "a:b", "args": "x"}, "original: got args='x'; expected names"),
        ({"kind": "code", "name": "a:b", "arg": {}}, "original: got 'arg'; expected one of .*did you mean 'args'"),
    ],
)
def test_what_is_no_origin(values: object, text: str) -> None:
    with pytest.raises(mga.ArgumentError, match=text):
        Origin.from_json(values)


SAME = [
    (FILE, replace(FILE, name="renamed.pth")),
    (FILE, replace(FILE, sha256="b" * 64)),  # the same weights in another file
    (FILE, MODULE),
    (FILE, replace(MODULE, fingerprint="other", class_name="Renamed")),  # of a module the code alone is used
    (FILE, replace(CODE, fingerprint="other")),
    (CODE, replace(CODE, fingerprint="other")),  # untrained: code alone
    (CODE, replace(CODE, name="models.net:Net")),
    (CODE, replace(CODE, weights="w.pth", sha256="c")),
    (MODULE, FILE),
    (MODULE, CODE),
    (replace(MODULE, fingerprint=None), FILE),
    (PAN, replace(PAN, fingerprint="untrained")),
]
OTHER = [
    (FILE, replace(FILE, sha256="b" * 64, fingerprint="other")),
    (FILE, replace(FILE, sha256="b" * 64, class_name="Other")),
    (FILE, replace(CODE, class_name="Other")),
    (CODE, replace(CODE, name="net.py:Other")),
    (CODE, replace(CODE, name="other.py:Net")),
    (CODE, replace(CODE, args={"blocks": 5})),
    (CODE, replace(CODE, weights="w.pth", sha256="c", fingerprint="other")),
    (MODULE, replace(FILE, fingerprint="other")),
    (PAN, replace(PAN, args={"scale": 2})),
    (PAN, replace(PAN, name="rfdn")),
    (PAN, FILE),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_the_same_network(one: Origin, two: Origin) -> None:
    assert one.accepts(two)


@pytest.mark.parametrize(("one", "two"), OTHER)
def test_another_network(one: Origin, two: Origin) -> None:
    assert not one.accepts(two)


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (FILE, "the file net.pth (sha256 aaaaaaaaaaaa...)"),
        (CODE, 'the code net.py:Net with the arguments {"blocks": 4}'),
        (replace(PAN, weights="w.pth"), 'the backbone pan with the arguments {"scale": 4} and the weights w.pth'),
        (MODULE, "a Net of your own"),
    ],
)
def test_what_people_read(origin: Origin, text: str) -> None:
    assert str(origin) == text


def test_a_fingerprint_tells_weights_and_shapes() -> None:
    model = build("LongSkip", 2)
    other = copy.deepcopy(model)
    assert fingerprint(model) == fingerprint(other)
    assert fingerprint(model) == fingerprint(other.to(memory_format=torch.channels_last))
    with torch.no_grad():
        next(other.parameters()).mul_(1.01)
    assert fingerprint(model) != fingerprint(other)
    half = copy.deepcopy(model).half()
    assert fingerprint(half) == fingerprint(copy.deepcopy(half).float())
    assert fingerprint(nn.Conv2d(3, 3, 3, device="meta")) is None
    assert fingerprint(nn.LazyConv2d(3, 3)) is None


def test_a_network_that_was_remembered_is_not_written_to() -> None:
    model = build("LongSkip", 2)
    before = set(vars(model))
    remember(model, FILE)
    assert set(vars(model)) == before
    assert origin_of(model) == replace(FILE, class_name="LongSkip", fingerprint=fingerprint(model))
    assert origin_of(build("LongSkip", 2)).kind == "module"


def test_an_accelerated_network_keeps_it() -> None:
    model = build("LongSkip", 2)
    net = mga.accelerate(model)
    assert net.origin == Origin("module", "LongSkip", class_name="LongSkip", fingerprint=fingerprint(model))
    assert net.with_cut().origin == copy.deepcopy(net).origin == net.origin
    assert pickle.loads(pickle.dumps(net.origin)) == net.origin
    pan = mga.accelerate(mga.create_backbone("fsrcnn", scale=2)).origin
    assert pan is not None
    assert (pan.kind, pan.name, pan.args) == ("backbone", "fsrcnn", {"scale": 2})


def test_a_descriptor_is_unwrapped_wherever_a_network_is_expected() -> None:
    model = build("LongSkip", 2).eval()
    descriptor = SimpleNamespace(model=model, architecture="LongSkip", scale=2)
    assert unwrapped(descriptor) is model
    assert unwrapped(model) is model
    assert unwrapped(5) == 5
    holder = SimpleNamespace(model=model)  # anything may have a model: only a descriptor is taken for one
    assert unwrapped(holder) is holder
    lr = torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        assert torch.equal(mga.accelerate(descriptor)(lr, k="dense"), model(lr))
    assert mga.inspect(descriptor).scale == 2
    assert torch.equal(mga.upscale(lr, model=descriptor), mga.upscale(lr, model=model))


def test_counting_is_no_use_of_a_network_that_was_never_fitted() -> None:
    net = mga.accelerate(build("LongSkip", 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error", mga.UnfittedWarning)
        net.macs(20, 20)
        repr(net)
        with pytest.raises(mga.UnfittedWarning):
            net.eval()(torch.rand(1, 3, 20, 20))
