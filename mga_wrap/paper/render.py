"""What `mga-wrap tables` prints: each table as the paper has it, what differs and why, and a summary."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from mga_wrap.paper.compare import ACTIVATIONS, PARAMETERS, ComparedFigure

_LEGEND = (
    "FLOPs as the paper counts them: multiply-accumulates of convolutions, and 1 for each value that an activation "
    "gives. As printed; * where what is counted here differs."
)


def render(figures: Sequence[ComparedFigure]) -> list[Table | str]:
    """Tables and sentences, in the order in which they are printed."""
    tables = [
        _table([figure for figure in figures if figure.table == name])
        for name in dict.fromkeys(figure.table for figure in figures)
    ]
    differences = [_difference(figure) for figure in figures if not figure.agrees]
    return [_LEGEND, *tables, *differences, *_summary(figures)]


def _table(figures: Sequence[ComparedFigure]) -> Table:
    """A row a network, scale and variant; a column a test set."""
    columns = list(dict.fromkeys(figure.column for figure in figures))
    rows: dict[str, dict[str, str]] = {}
    for figure in figures:
        heading = f"{figure.network}-{figure.variant} x{figure.scale}"
        rows.setdefault(heading, {})[figure.column] = figure.printed + ("" if figure.agrees else " *")
    table = Table(title=f"{_name(figures[0])}, FLOPs in G", title_justify="left")
    table.add_column("network")
    for column in columns:
        table.add_column(column, justify="right")
    for heading, cells in rows.items():
        table.add_row(heading, *(cells.get(column, "") for column in columns))
    return table


def _difference(figure: ComparedFigure) -> str:
    place = f"{_name(figure)}, {figure.network}-{figure.variant} x{figure.scale}, {figure.column}"
    return f"{place}: printed {figure.printed}, ours {figure.ours}: {figure.reason or 'UNEXPLAINED'}"


def _summary(figures: Sequence[ComparedFigure]) -> list[str]:
    """A sentence for each kind of figure that there is."""
    kinds = {"FLOPs": None, "activation counts": ACTIVATIONS, "parameter counts": PARAMETERS}
    sentences = []
    for name, column in kinds.items():
        of_kind = [figure for figure in figures if _special_column(figure) == column]
        agree = sum(figure.agrees for figure in of_kind)
        known = sum(not figure.agrees and figure.reason is not None for figure in of_kind)
        if of_kind:
            sentences.append(
                f"{name}: {agree} of {len(of_kind)} agree to the last printed digit, {known} are known misprints"
            )
    return sentences


def _special_column(figure: ComparedFigure) -> str | None:
    """None for FLOPs, whose columns are the test sets."""
    return figure.column if figure.column in (ACTIVATIONS, PARAMETERS) else None


def _name(figure: ComparedFigure) -> str:
    return f"Table {int(figure.table[-2:])}"
