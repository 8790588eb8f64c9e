"""What the paper says about its networks and its test sets. Source: the paper's supplement."""

from __future__ import annotations

from decimal import Decimal

CUTS = {"FSRCNN": 3, "PAN": 12, "RFDN": 4, "SRResNet": 12, "RCAN": 7}
"""Blocks in the Base-Net; the Refine-Net has 1, 4, 2, 4 and 3 more."""
VARIANTS = ("B", "D", "A", "M")
PATCH = 4
"""Side of the tables' patches in lr pixels."""

PIXELS: dict[str, dict[int, Decimal]] = {
    name: {scale: Decimal(text) for scale, text in zip((2, 3, 4), texts.split(), strict=True)}
    for name, texts in {
        "Set5": "28304 12294.4 6998.4",
        "Set14": "57317.71 25059.43 14276.57",
        "B100": "38400 16640 9600",
        "Urban100": "193323.36 85180.32 48089.92",
        "Manga109": "240210.15 105364.7 59473.9",
        "Test2K": "447488.75 198884.2 111872.15",
        "Test4K": "1716825.5 763033.2 429206.4",
    }.items()
}
"""Mean lr pixels of a test set's images, HR cropped to multiples of 4 * scale. The last three are not public: one
number a set and scale, fitted to all figures of that set."""
REFINED = {name: 240 if name in ("Set5", "Set14", "B100") else 1000 for name in PIXELS}
"""K: patches that M refines in an image of each test set."""

SIZE_OF_TABLE_5 = (376, 512)
"""Height and width of the lr image of Table 5 (RFDN x2)."""

SIZES_OF_IMAGES: dict[tuple[str, str, int], tuple[tuple[int, int], ...]] = {
    ("RFDN", "Set14", 2): (
        (240, 248),
        (288, 360),
        (256, 256),
        (144, 176),
        (180, 124),
        (136, 136),
        (180, 248),
        (144, 176),
        (256, 256),
        (256, 256),
        (256, 384),
        (256, 256),
        (328, 264),
        (192, 292),
    )
}
"""Where the mean size leaves the last digit open: (height, width) of every image. RFDN's attention loses a border."""
