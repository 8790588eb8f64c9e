"""The laws on networks that nobody here wrote, and the table of docs/networks.md against what is found."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from laws import check_laws
from study import Finding, study
from torch import nn
from zoo_networks import ZOO, build

pytestmark = pytest.mark.slow

pytest.importorskip("spandrel", reason="the zoo is spandrel's: pip install -e .[dev]")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "networks.md"


@lru_cache(maxsize=4)
def network(name: str) -> nn.Module:
    if name == "SRFormer":
        pytest.importorskip("spandrel_extra_arches", reason="SRFormer has a licence of its own: see docs/networks.md")
    return build(name)


@pytest.mark.parametrize("name", ZOO)
def test_the_table_tells_what_is_found_and_the_laws_hold(name: str) -> None:
    model = network(name)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    found = study(name, model)
    # Before anybody runs the network itself: SPAN's forward writes into its own weights.
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())
    assert without_seconds(found.finding.row()) in map(without_seconds, PAGE.read_text(encoding="utf-8").splitlines())
    if found.anatomy is not None and found.net is not None:
        check_laws(model, found.anatomy, found.net)


def without_seconds(row: str) -> str:
    return re.sub(r"\| [\d.]+ \|$", "|", row)


def test_the_table_lists_the_zoo_and_nothing_else() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| (?:exact|inexact|refused) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(ZOO)


def test_a_row_without_its_measurement() -> None:
    finding = Finding("A", "exact", "", "4, from `body.0`", "1", "5", 1.234)
    assert finding.row() == "| A | exact | 4, from `body.0` | 1 | 5 |  | 1.2 |"
    assert without_seconds(finding.row()) == "| A | exact | 4, from `body.0` | 1 | 5 |  |"
