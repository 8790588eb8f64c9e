"""The matrix product that shows what the machine can do."""

from __future__ import annotations

import pytest
import torch

from mga_wrap.bench.matrix_product import matrix_product, product_macs


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_its_macs_are_those_of_two_square_matrices(dtype: torch.dtype) -> None:
    product = matrix_product(torch.device("cpu"), dtype)()
    height, width = product.shape
    assert (height, product.dtype) == (width, dtype)
    assert product_macs(torch.device("cpu")) == height**3
    assert float(product[0, 0]) == height  # a sum of as many ones
