from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import mga_wrap as mga
from mga_wrap.backbones import FSRCNN, PAN, RCAN, RFDN, create_backbone, describe_backbone, list_backbones, registry
from mga_wrap.errors import ArgumentError


def test_the_list_is_sorted_and_holds_all_seven() -> None:
    assert list_backbones() == ("fsrcnn", "pan", "rcan", "rfdn", "srresnet", "student", "student-half")


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", list_backbones())
def test_describe_is_the_reverse_of_create(name: str, scale: int) -> None:
    net = create_backbone(name, scale=scale)
    description = describe_backbone(net)
    assert description == {"name": name, "scale": scale}
    again = create_backbone(**description)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in net.state_dict().items()}
    assert repr(again) == repr(net)


def with_other_activation() -> nn.Module:
    net = FSRCNN(scale=2)
    net.head[1] = nn.ReLU()
    return net


class Derived(PAN):
    pass


@pytest.mark.parametrize(
    "model",
    [
        FSRCNN(scale=4, m=3),
        FSRCNN(scale=4, d=32),
        FSRCNN(scale=4, channels=1),
        PAN(scale=4, nb=12),
        RCAN(scale=4, n_resgroups=3),
        RCAN(scale=4, res_scale=0.1),
        RCAN(scale=4, rgb_range=255),
        RFDN(scale=4, num_modules=4),
        RFDN(scale=4, rgb_range=255),
        Derived(scale=4),
        with_other_activation(),
        nn.Identity(),
    ],
    ids=[
        "m=3",
        "d=32",
        "channels=1",
        "nb=12",
        "groups",
        "res_scale",
        "mean shift",
        "num_modules",
        "rgb_range",
        "derived",
        "layer exchanged",
        "foreign",
    ],
)
def test_what_create_would_not_rebuild_is_not_described(model: nn.Module) -> None:
    assert describe_backbone(model) is None


def test_describing_draws_no_random_numbers() -> None:
    net = create_backbone("pan", scale=2)
    before = torch.get_rng_state()
    describe_backbone(net)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unknown_name_lists_what_there_is_and_the_nearest() -> None:
    with pytest.raises(
        ArgumentError,
        match=r"got backbone 'FSRCN'; expected one of fsrcnn, pan, rcan, rfdn, srresnet, student, student-half; "
        r"did you mean 'fsrcnn'",
    ):
        create_backbone("FSRCN", scale=2)
    with pytest.raises(
        ArgumentError,
        match=r"got backbone 'hat'; expected one of fsrcnn, pan, rcan, rfdn, srresnet, student, student-half$",
    ):
        create_backbone("hat", scale=2)


def test_a_scale_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ArgumentError, match="got scale=8 for PAN"):
        create_backbone("pan", scale=8)


@pytest.fixture
def no_lasting_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BACKBONES", dict(registry._BACKBONES))


@pytest.mark.usefixtures("no_lasting_names")
def test_a_backbone_of_the_users_is_like_ours(tmp_path: Path) -> None:
    @mga.register_backbone("my-net")
    class MyNet(FSRCNN):
        pass

    assert "my-net" in list_backbones()
    net = mga.accelerate(create_backbone("my-net", scale=2))
    assert net.backbone == {"name": "my-net", "scale": 2}
    net.save_pretrained(tmp_path)
    lr = torch.rand(1, 3, 9, 9)
    with torch.no_grad():
        assert torch.equal(mga.from_pretrained(tmp_path)(lr), net.eval()(lr))


@pytest.mark.usefixtures("no_lasting_names")
@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("pan", FSRCNN, "the backbone 'pan' is PAN already; expected a name that is not taken"),
        ("My Net", FSRCNN, "got the name 'My Net'; expected small letters, digits and dashes"),
        ("../net", FSRCNN, "got the name '../net'; expected small letters"),
        ("net", print, "for the backbone 'net'; expected a class of nn.Module"),
    ],
)
def test_what_cannot_be_registered(name: str, kind: object, text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        mga.register_backbone(name)(kind)
