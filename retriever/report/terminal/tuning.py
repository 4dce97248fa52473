"""Terminal table of a fusion's weights before and after they were tuned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from retriever.formatting import decimals
from retriever.report.lines import label_of
from retriever.report.terminal.escape import one_line


def tuning_parts(
    parts: Sequence[str],
    weights: tuple[Sequence[float], Sequence[float]],
    measure: str,
    values: Sequence[tuple[str, tuple[float, float]]],
) -> Iterator[Table]:
    """Yield a table of weights and of named values, each before and after."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "before", "tuned"):
        table.add_column(Text(heading), justify="left" if not heading else "right")
    for part, before, after in zip(parts, *weights, strict=True):
        table.add_row(Text(f"weight of {one_line(part)}"), f"{before:.3g}", f"{after:.3g}")
    draw = decimals(4)
    for name, (before, after) in values:
        table.add_row(Text(f"{label_of(measure)}, {name}"), draw(before), draw(after))
    yield table
