"""The paper's tables: section 4's parts of each network, and every figure that is printed."""

from __future__ import annotations

import csv
import shutil
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mga_wrap.cli import app
from mga_wrap.counting import macs_by_module
from mga_wrap.errors import ArgumentError
from mga_wrap.paper import tables as paper_tables
from mga_wrap.paper.costs import CUTS, VARIANTS, activations_at, count_at, mask_macs, paper_cost, paper_net
from mga_wrap.paper.tables import ACTIVATIONS, MISPRINTS, REPEATS, Line, compare, needed, repeated_scale

# (network, scale): parameters of B, D and A, M; MACs an lr pixel of B, of D; MACs a patch, of mask prediction a pixel
PARTS = {
    ("FSRCNN", 2): (23_363, 41_694, 43_270, 64_024.0, 123_096.0, 997_472, 1_303.50),
    ("FSRCNN", 3): (23_363, 41_694, 43_270, 132_064.0, 259_176.0, 2_086_112, 1_303.50),
    ("FSRCNN", 4): (23_363, 41_694, 43_270, 227_320.0, 449_688.0, 3_610_208, 1_303.50),
    ("PAN", 2): (203_723, 290_966, 306_178, 249_624.0, 382_328.0, 4_089_792, 14_425.00),
    ("PAN", 3): (203_723, 296_174, 311_386, 325_104.0, 580_160.0, 7_416_288, 14_425.00),
    ("PAN", 4): (214_739, 312_998, 328_210, 433_272.0, 749_624.0, 8_215_200, 14_425.00),
    ("RFDN", 2): (417_212, 684_224, 707_726, 397_371.6, 656_139.6, 8_706_432, 22_531.25),
    ("RFDN", 3): (423_977, 697_754, 721_256, 404_121.6, 669_639.6, 8_814_432, 22_531.25),
    ("RFDN", 4): (433_448, 716_696, 740_198, 413_571.6, 688_539.6, 8_965_632, 22_531.25),
    ("SRResNet", 2): (1_102_097, 1_671_577, 1_709_709, 1_147_904.0, 1_763_648.0, 17_231_104, 36_904.00),
    ("SRResNet", 3): (1_286_737, 2_040_857, 2_078_989, 1_410_304.0, 2_288_448.0, 21_429_504, 36_904.00),
    ("SRResNet", 4): (1_249_810, 1_967_003, 2_005_135, 1_925_376.0, 3_318_592.0, 29_670_656, 36_904.00),
    ("RCAN", 2): (10_867_699, 15_704_870, 15_743_002, 10_781_888.5, 15_585_024.6, 169_119_216, 36_904.00),
    ("RCAN", 3): (11_052_339, 16_074_150, 16_112_282, 10_974_848.5, 15_970_944.6, 172_206_576, 36_904.00),
    ("RCAN", 4): (11_015_411, 16_000_294, 16_038_426, 11_392_448.5, 16_806_144.6, 178_888_176, 36_904.00),
}
IMAGES = {"RFDN": (376, 512), "RCAN": (400, 400)}
"""Whose MACs a pixel depend on the size: RFDN's at the border, RCAN's by its attention (72,240 and 30,960 an image)."""


@pytest.fixture
def folder(shared: Path) -> Path:
    return shared / "paper"


@pytest.mark.parametrize(("network", "scale"), PARTS)
def test_every_part_costs_what_the_paper_says(network: str, scale: int) -> None:
    base, both, masked, per_pixel, dense_per_pixel, patch, mask = PARTS[network, scale]
    cost = paper_cost(network, scale)
    assert cost.parameters == {"B": base, "D": both, "A": both, "M": masked}
    assert (cost.patch, cost.mask) == (patch, mask)
    height, width = IMAGES.get(network, (24, 36))
    macs, pixels = count_at(network, scale, height, width), height * width
    assert round(macs["base"] / pixels, 1) == per_pixel
    assert round((macs["base"] + macs["refine"]) / pixels, 1) == dense_per_pixel
    assert (cost.base.once, cost.refine.once) == (72_240, 30_960) or network != "RCAN"


def test_the_variants_are_one_network_called_in_four_ways() -> None:
    net, cost = paper_net("FSRCNN", 2), paper_cost("FSRCNN", 2)
    lr = torch.empty(1, 3, 24, 32, device="meta")
    base, dense = cost.base.area * 24 * 32, cost.refine.area * 24 * 32
    for k, refine in ((0, 0), ("dense", dense), ("all", 48 * cost.patch), (5, 5 * cost.patch)):
        macs = macs_by_module(net, lr, k=k, convention="paper")
        assert (macs["base"], macs["refine"]) == (base, refine), k


def test_a_squares_cost_follows_from_three_others() -> None:
    for network in ("FSRCNN", "RFDN"):
        cost = paper_cost(network, 2)
        macs = count_at(network, 2, 60, 72)
        for part, name in ((cost.base, "base"), (cost.refine, "refine")):
            assert part.area * 60 * 72 + part.sides * (60 + 72) + part.once == macs[name]


def test_only_rfdn_pays_less_at_the_border() -> None:
    assert paper_cost("RFDN", 2).base.sides < 0
    assert all(paper_cost(name, 2).base.sides == 0 for name in ("FSRCNN", "PAN", "SRResNet"))


def test_mask_prediction_in_table_5() -> None:
    assert mask_macs(50) == Fraction(2253125, 100)
    assert mask_macs(50, p=8) == 22_500 + Fraction(500, 64)


def test_activations_in_table_5() -> None:
    base, patch, mask = activations_at("RFDN", 2, 376, 512)
    assert (base, patch, mask) == (322_202_848, 33_704, (50 + Fraction(1, 16)) * 376 * 512)


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(ArgumentError, match="got network 'EDSR'; expected one of FSRCNN, PAN, RFDN, SRResNet, RCAN"):
        paper_net("EDSR", 2)


def test_every_printed_figure_agrees_or_is_a_known_misprint(folder: Path) -> None:
    lines = compare(folder)
    columns = [line.column for line in lines if line.column != "params"]
    assert (len(columns), columns.count(ACTIVATIONS)) == (30 + 8 + 60 + 240 + 8, 8)
    wrong = [line for line in lines if line.agrees != (line.reason is None)]
    assert wrong == []
    assert {_key(line) for line in lines if line.reason and line.column != "params"} == set(MISPRINTS)


def test_misprints_are_what_they_are_said_to_be(folder: Path) -> None:
    lines = {_key(line): line for line in compare(folder)}
    assert lines["table07", 2, "RFDN", "A", "Manga109"].shown == "226.16"
    for network, k, printed in (("RFDN", 120, "4.13"), ("RCAN", 150, "106.82")):
        line = lines["table07", 4, network, "M", "Set5"]
        assert line.printed == printed
        assert f"{paper_cost(network, 4).macs('M', dataset='Set5', scale=4, k=k) / 1e9:.2f}" == printed
    for line in lines.values():
        if line.column == "params" and line.reason:
            true = repeated_scale(line.table, line.network, line.variant, line.scale)
            assert true is not None
            unit = 1e6 if line.printed.endswith("M") else 1e3
            count = paper_cost(line.network, true).parameters[line.variant] / unit
            assert Line(*_key(line), printed=line.printed, counted=count, reason=None).agrees, line


def test_the_size_of_every_image_decides_where_the_mean_does_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ("table07", 2, "RFDN", "B", "Set14")
    assert next(line for line in compare(folder) if _key(line) == key).shown == "22.78"
    monkeypatch.setattr(paper_tables, "OWN_SIZES", {})
    near = next(line for line in compare(folder) if _key(line) == key)
    assert near.counted == pytest.approx(22.78, abs=0.0055)


def test_the_lists_of_misprints_name_what_there_is() -> None:
    for tables, network, variants, scales, true in REPEATS:
        assert set(tables.split()) <= {name.removesuffix(".csv") for name in paper_tables.TABLES}
        assert network in CUTS
        assert set(variants) <= set(VARIANTS)
        assert true not in scales


@pytest.mark.parametrize(
    ("printed", "counted", "agrees"),
    [
        ("1.81", 1.8149, True),
        ("1.81", 1.8151, False),
        ("23K", 23.363, True),
        ("23K", 23.6, False),
        ("1.10M", 1.102, True),
        ("1.1M", 1.16, False),
        ("76.4988", 76.49884, True),
    ],
)
def test_agreeing_means_to_the_last_printed_digit(printed: str, counted: float, agrees: bool) -> None:
    line = Line("table07", 2, "FSRCNN", "B", "Set5", printed=printed, counted=counted, reason=None)
    assert line.agrees is agrees


HEADER = "scale,network,variant,sub,params,dataset,psnr_db,ssim,flops_g,note"


def write(folder: Path, *rows: str, name: str = "table07.csv", header: str = HEADER) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return folder


def test_the_command_prints_what_agrees_and_what_does_not(tmp_path: Path) -> None:
    good = write(tmp_path / "good", "2,FSRCNN,B,,23K,Set5,36.59,0.9546,1.81,", "2,FSRCNN,M,,43K,Set5,1,1,2.09,")
    result = CliRunner().invoke(app, ["tables", str(good)])
    assert result.exit_code == 0, result.output
    assert "FSRCNN-M x2" in result.output
    assert "FLOPs: 2 of 2 agree to the last printed digit, 0 are known misprints" in result.output
    bad = write(tmp_path / "bad", "2,FSRCNN,B,,24K,Set5,36.59,0.9546,1.82,")
    result = CliRunner().invoke(app, ["tables", str(bad)])
    assert result.exit_code == 1
    assert "Table 7, FSRCNN-B x2, Set5: printed 1.82, ours 1.81: UNEXPLAINED" in result.output
    assert "printed 24K, ours 23K: UNEXPLAINED" in result.output


def test_rows_of_the_plain_convolution_are_left_out(tmp_path: Path) -> None:
    rows = [f"2,FSRCNN,M,{sub},43K,Set5,1,1,{flops}," for sub, flops in (("conv", "9.99"), ("D-conv", "2.09"))]
    assert [line.printed for line in compare(write(tmp_path, *rows, name="table02.csv"))] == ["43K", "2.09"]
    assert needed(tmp_path) == [("FSRCNN", 2)]


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["tables", str(tmp_path)])
    assert result.exit_code == 2
    assert "expected a folder that holds some of table02.csv, table05.csv" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2,EDSR,B,,23K,Set5,1,1,1.81,", "network 'EDSR' is not known"),
        ("2,PAN,B,,23K,Set6,1,1,1.81,", "PAN-B x2 on Set6 is not known"),
        ("8,PAN,B,,23K,Set5,1,1,1.81,", "PAN-B x8 on Set5 is not known"),
        ("2,PAN,B,,23K,Set5,1,1,much,", "InvalidOperation"),
        ("2,PAN,B,,23K,Set5,1,1,nan,", "'nan' is no number"),
        ("2,PAN,B", "is not known"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(row: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=rf"table07\.csv is no table of the paper .*{reason}.*expected the columns"):
        compare(write(tmp_path, row))


def test_table_5_is_named_too(tmp_path: Path) -> None:
    header = "method,k,flops_g,activations_m,psnr_db,ssim"
    for row in ("PAN-B,,1,1,1,1", "RFDN-M(7),8,1,1,1,1", "RFDN-M(x),x,1,1,1,1"):
        with pytest.raises(ArgumentError, match=r"table05\.csv is no table.*expected the columns method, k, flops_g"):
            compare(write(tmp_path, row, name="table05.csv", header=header))


def test_some_of_the_tables_are_enough(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "table05.csv", tmp_path)
    lines = compare(tmp_path)
    with (tmp_path / "table05.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    for column in ("flops_g", "activations_m"):
        found = [line.printed for line in lines if (line.column == ACTIVATIONS) == (column == "activations_m")]
        assert found == [row[column] for row in rows]
    assert all(line.agrees for line in lines)


def _key(line: Line) -> tuple[str, int, str, str, str]:
    return line.table, line.scale, line.network, line.variant, line.column
