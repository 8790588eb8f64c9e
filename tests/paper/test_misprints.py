"""The lists of misprints name what there is."""

from __future__ import annotations

from mga_wrap.paper.facts import CUTS, PIXELS, VARIANTS
from mga_wrap.paper.misprints import MISPRINTS, REPEATED_PARAMETERS, repeated_scale
from mga_wrap.paper.printed import TABLES


def test_the_lists_of_misprints_name_what_there_is() -> None:
    for tables, network, variants, scales, true_scale in REPEATED_PARAMETERS:
        assert set(tables.split()) <= {name.removesuffix(".csv") for name in TABLES}
        assert network in CUTS
        assert set(variants) <= set(VARIANTS)
        assert true_scale not in scales
    for table, scale, network, variant, column in MISPRINTS:
        assert f"{table}.csv" in TABLES
        assert scale in PIXELS[column]
        assert network in CUTS
        assert variant in VARIANTS


def test_parameters_of_another_scale_are_looked_up() -> None:
    assert repeated_scale("table06", "RFDN", "M", 3) == 4
    assert repeated_scale("table06", "RFDN", "M", 4) is None
    assert repeated_scale("table06", "RFDN", "B", 3) is None
    assert repeated_scale("table07", "RFDN", "B", 3) == 2
