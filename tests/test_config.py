"""What was asked for: a cut, and k."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mga_wrap as mga
from mga_wrap.config import CutConfig, check_k, parse_k
from mga_wrap.nets.patches import patch_count

cuts = st.builds(
    CutConfig,
    split_at=st.one_of(st.just("auto"), st.text(max_size=9), st.integers(), st.floats(0.01, 0.99)),
    k=st.one_of(st.integers(0, 9999), st.floats(0.001, 1), st.sampled_from(["base", "all", "dense"])),
    p=st.one_of(st.none(), st.integers(1, 99)),
    halo=st.one_of(st.none(), st.just("exact"), st.integers(0, 9)),
    style=st.just("pretrained"),
    coarse_tail=st.one_of(st.sampled_from(["copy", "light"]), st.integers(1, 64)),
    mask=st.one_of(st.none(), st.fixed_dictionaries({}, optional={"dynamic": st.booleans()})),
)


@given(cuts)
def test_there_and_back_by_json(config: CutConfig) -> None:
    assert CutConfig.from_json(json.loads(json.dumps(config.as_json()))) == config


def test_what_is_left_out_depends_on_the_style() -> None:
    assert (CutConfig().p, CutConfig(style="paper").p, CutConfig(p=8, style="paper").p) == (16, 4, 8)
    assert CutConfig().halo is None  # the network decides: it may work in windows


def test_it_is_checked_again_where_it_is_changed() -> None:
    with pytest.raises(mga.ArgumentError, match="got p=0; expected a whole number of pixels, from 1 to 512"):
        dataclasses.replace(CutConfig(), p=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        CutConfig().p = 3  # type: ignore[misc]


def test_a_mask_option_of_the_callers_is_copied() -> None:
    options = {"dynamic": False}
    config = CutConfig(mask=options)
    options["dynamic"] = True
    assert config.mask == {"dynamic": False}


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"split_at": "8"}, {"split_at": 8}),
        ({"split_at": "0.25", "p": "8"}, {"split_at": 0.25, "p": 8}),
        ({"split_at": "body.3", "halo": "exact"}, {"split_at": "body.3", "halo": "exact"}),
        ({"coarse_tail": "12", "halo": None}, {"coarse_tail": 12}),
        ({"k": "1.0"}, {"k": 1.0}),
    ],
)
def test_as_a_command_line_gives_it(texts: dict[str, str], expected: dict[str, object]) -> None:
    assert CutConfig.from_text(**texts) == CutConfig(**expected)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "got list; expected the arguments of a cut by name"),
        ({"splitat": 3}, "got 'splitat'; expected one of split_at, k, .*did you mean 'split_at'"),
        ({"p": "8"}, "got p='8'; expected a whole number"),
    ],
)
def test_what_is_no_cut(values: object, text: str) -> None:
    with pytest.raises(mga.ArgumentError, match=text):
        CutConfig.from_json(values)


@pytest.mark.parametrize("k", [np.int64(3), np.uint8(3), 3])
def test_numbers_of_numpy_are_numbers(k: object) -> None:
    assert (check_k(k), type(check_k(k))) == (3, int)
    assert type(check_k(np.float32(0.5))) is float
    assert CutConfig(split_at=np.int64(2), p=np.int32(8), coarse_tail=np.int8(3)).as_json()["p"] == 8


@pytest.mark.parametrize(
    ("text", "k"),
    [("100", 100), ("+3", 3), ("0.25", 0.25), ("1.0", 1.0), ("1", 1), ("base", 0), ("all", "all"), ("dense", "dense")],
)
def test_a_k_as_text(text: str, k: object) -> None:
    assert (parse_k(text), type(parse_k(text))) == (k, type(k))


@pytest.mark.parametrize("text", ["-1", "1.5", "most", "", "nan", "1e999", "9" * 5000, "original"])
def test_a_text_that_is_no_k(text: str) -> None:
    with pytest.raises(mga.ArgumentError, match="expected an int >= 0, a float in") as caught:
        parse_k(text)
    assert len(str(caught.value)) < 250


@given(st.floats(1e-6, 1), st.integers(1, 10**6))
def test_a_share_is_at_least_one_patch_and_at_most_all(share: float, patches: int) -> None:
    count = patch_count(share, patches)
    assert 1 <= count <= patches
    assert abs(count - share * patches) <= 1 + 1e-6 * patches
