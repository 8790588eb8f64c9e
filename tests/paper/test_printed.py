"""Reading the paper's tables: what a row holds, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from mga_wrap.errors import ArgumentError
from mga_wrap.paper.printed import PrintedRow, networks_of, printed_value, read_tables

HEADER = "scale,network,variant,sub,params,dataset,psnr_db,ssim,flops_g,note"


def write(folder: Path, *rows: str, name: str = "table07.csv", header: str = HEADER) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return folder


def test_rows_of_the_plain_convolution_are_left_out(tmp_path: Path) -> None:
    rows = [f"2,FSRCNN,M,{sub},43K,Set5,1,1,{flops}," for sub, flops in (("conv", "9.99"), ("D-conv", "2.09"))]
    found = read_tables(write(tmp_path, *rows, name="table02.csv"))
    assert found == [PrintedRow("table02", 2, "FSRCNN", "M", "Set5", flops="2.09", parameters="43K")]
    assert networks_of([*found, *found]) == [("FSRCNN", 2)]


def test_a_row_of_table_5_has_activations_and_its_k(tmp_path: Path) -> None:
    rows = ("RFDN-B,,76.4988,322.2,1,1", "RFDN-M(All),All,100.1,1,1,1", "RFDN-M(200),200,80.1,2,1,1")
    write(tmp_path, *rows, name="table05.csv", header="method,k,flops_g,activations_m,psnr_db,ssim")
    first, *masked = read_tables(tmp_path)
    assert first == PrintedRow("table05", 2, "RFDN", "B", "376 x 512", flops="76.4988", activations="322.2")
    assert [row.variant for row in masked] == ["M(All)", "M(200)"]


@pytest.mark.parametrize(
    ("text", "value"), [("1.81", (1.81, 0.01)), ("23K", (23.0, 1.0)), ("1.10M", (1.1, 0.01)), ("7", (7.0, 1.0))]
)
def test_a_figure_has_a_value_and_a_last_digit(text: str, value: tuple[float, float]) -> None:
    assert printed_value(text) == pytest.approx(value)


def test_a_folder_without_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"expected a folder that holds some of table02\.csv, table05\.csv"):
        read_tables(tmp_path)


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
        read_tables(write(tmp_path, row))


def test_table_5_is_named_too(tmp_path: Path) -> None:
    header = "method,k,flops_g,activations_m,psnr_db,ssim"
    for row in ("PAN-B,,1,1,1,1", "RFDN-M(7),8,1,1,1,1", "RFDN-M(x),x,1,1,1,1"):
        with pytest.raises(ArgumentError, match=r"table05\.csv is no table.*expected the columns method, k, flops_g"):
            read_tables(write(tmp_path, row, name="table05.csv", header=header))
