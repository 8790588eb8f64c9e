"""Where the paper's tables print what cannot be, each with its reason."""

from __future__ import annotations

Key = tuple[str, int, str, str, str]
"""Table, scale, network, variant, column."""

MISPRINTS: dict[Key, str] = {
    ("table07", 2, "RFDN", "A", "Manga109"): "a wrong digit: 266.16 for 226.16",
    ("table07", 4, "RFDN", "M", "Set5"): "the value at K = 120; the rest of the set has 240",
    ("table07", 4, "RCAN", "M", "Set5"): "the value at K = 150; the rest of the set has 240",
}
"""FLOPs that do not agree, and why."""

REPEATED_PARAMETERS: tuple[tuple[str, str, str, tuple[int, ...], int], ...] = (
    ("table02", "SRResNet", "M", (3,), 2),
    ("table06 table07", "RFDN", "M", (2, 3), 4),
    ("table07", "PAN", "DAM", (3,), 2),
    ("table07", "PAN", "BDAM", (4,), 2),
    ("table07", "RFDN", "BDA", (3, 4), 2),
    ("table07", "SRResNet", "BDAM", (3, 4), 2),
    ("table07", "RCAN", "BDAM", (3, 4), 2),
)
"""Parameters that are those of another scale: (tables, network, variants, scales, the scale that they belong to)."""


def repeated_scale(table: str, network: str, variant: str, scale: int) -> int | None:
    """The scale whose parameters a table prints in this scale's row by mistake; None where it prints the right ones."""
    for tables, of_network, variants, scales, true_scale in REPEATED_PARAMETERS:
        if table in tables.split() and network == of_network and variant in variants and scale in scales:
            return true_scale
    return None
