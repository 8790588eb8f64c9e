"""The card: every figure is that of a table, and the metadata is what the Hub takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import mga_wrap as mga
from mga_wrap.card import BENCH_COLUMNS, EVAL_COLUMNS, Measured, Notes, card_of, means_of, own_row, read_table

CONFIG = {
    "scale": 4,
    "backbone": {"name": "pan", "scale": 4},
    "cut": {"k": 0.2, "p": 16, "halo": 2, "style": "pretrained", "split_at": "SCPA_trunk.5", "coarse_tail": "light"},
}
EVAL = """picture,k,p,variant,psnr_y,ssim_y,macs
a,0,16,B,30.1,0.91,1000000000
a,0.2,16,M,30.3,0.93,1500000000
mean,0,16,B,31.114999,0.876543,1000000000
mean,0.2,16,M,31.456789,0.881249,1500000000
mean,original,,original,32,0.9,2000000000
"""
BENCH = """name,format,share,seconds,over_as_it_runs,over_best_format,macs
original as it runs,contiguous float32,,0.25,1.0,2.0,9
accelerated,channels_last float32,0.2,0.1,0.4,0.8,5
"""


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    (tmp_path / "eval.csv").write_text(EVAL)
    (tmp_path / "bench.csv").write_text(BENCH)
    quality = read_table(tmp_path / "eval.csv", columns=EVAL_COLUMNS)
    return Measured({"Set5": quality}, read_table(tmp_path / "bench.csv", columns=BENCH_COLUMNS), "One image.")


def test_every_figure_is_the_tables(measured: Measured) -> None:
    card = card_of(CONFIG, name="owner/pan-m-x4", measured=measured)
    assert [line for line in card.text.splitlines() if re.match(r"\| (0|0\.2|original) \|", line)] == [
        "| 0 | 31.11 / 0.8765 | 1.00 G |",
        "| 0.2 | 31.46 / 0.8812 | 1.50 G |",
        "| original | 32.00 / 0.9000 | 2.00 G |",
    ]
    assert "| accelerated | channels_last float32 | 0.2 | 0.100 | 2.50x | 1.25x |" in card.text
    (psnr, ssim) = card.data.eval_results or ()
    assert (psnr.metric_value, ssim.metric_value) == (31.46, 0.8812)  # at the network's own k
    assert (psnr.metric_name, psnr.dataset_name) == ("PSNR-Y (k=0.2)", "Set5 x4")


def test_the_metadata_survives_reading(measured: Measured) -> None:
    notes = Notes("apache-2.0", "else/pan", ["else/photographs"], "By hand.", ["It does not sing."], ["mga-wrap eval"])
    card = card_of(CONFIG, name="owner/pan-m-x4", measured=measured, notes=notes, pictures=["front.png"])
    again = ModelCard(str(card))
    assert again.data.to_dict() == card.data.to_dict()
    data = again.data
    assert (data.library_name, data.pipeline_tag, data.license) == ("mga_wrap", "image-to-image", "apache-2.0")
    assert (data.base_model, data.datasets) == ("else/pan", ["else/photographs"])
    assert {"super-resolution", "x4"} <= set(data.tags or ())
    for text in ("By hand.", "* It does not sing.", "mga-wrap eval", "(front.png)", "| made of | pan |"):
        assert text in again.text
    assert "before-after.png" not in again.text  # it is not there


def test_what_was_not_measured_is_said() -> None:
    card = card_of(CONFIG, name="owner/net")
    assert "## Measured\n\nNothing yet." in card.text
    assert "model-index" not in str(card)
    assert "model_name" not in str(card)


@pytest.mark.parametrize(
    ("changes", "use"),
    [
        ({}, 'from_pretrained("o/n")'),
        ({"backbone": None}, 'from_pretrained("o/n", model=original)'),
        (
            {"backbone": None, "original": {"kind": "file", "name": "a.safetensors", "sha256": "0"}},
            'from_pretrained("o/n")',
        ),
        ({"backbone": None, "original": {"kind": "file", "name": "a.pth"}}, 'from_pretrained("o/n", model=original)'),
    ],
)
def test_how_to_use_it(changes: dict[str, object], use: str) -> None:
    assert f"net = mga.{use}\n" in card_of({**CONFIG, **changes}, name="o/n").text


def test_the_own_k_is_the_first_mean_where_it_was_not_measured(measured: Measured) -> None:
    table = measured.quality["Set5"]
    assert own_row(CONFIG, table)["k"] == "0.2"
    assert own_row({"cut": {"k": 0.7}}, table)["k"] == "0"


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"", "lacks picture, k"), (b"a,b\n1,2\n", "lacks picture, k, psnr_y"), (b"\xff\xfe", "cannot be read")],
)
def test_what_is_no_table(content: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(mga.ArgumentError, match=text):
        read_table(tmp_path / "a.csv", columns=EVAL_COLUMNS)


def test_a_table_without_means() -> None:
    with pytest.raises(mga.ArgumentError, match="has no row of means; expected what mga-wrap eval --csv wrote"):
        means_of([{"picture": "a", "k": "0"}])
