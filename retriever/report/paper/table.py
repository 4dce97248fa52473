"""The table of a paper: systems, their measures, and marks of significance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from indexes.errors import pluralize
from retriever.evaluation import significance
from retriever.evaluation.macro_average import AVERAGE, SeveralComparisons
from retriever.evaluation.results import ComparisonResults
from retriever.formatting import NOTHING, decimals, join_names
from retriever.report.headline import verdict
from retriever.report.lines import best_text, label_of
from retriever.report.verdict import verdict_lines

quality = decimals(4)


@dataclass(frozen=True)
class PaperCell:
    """A number as text, bold if it is the best of its column; `mark` is `better`, `worse` or "".

    `beaten` are the letters of the systems that it is significantly better than.
    """

    text: str
    best: bool = False
    mark: str = ""
    beaten: str = ""


@dataclass(frozen=True)
class PaperRow:
    """A system, its letter in a table of all pairs or "", and its cells."""

    name: str
    letter: str
    cells: Sequence[PaperCell]


@dataclass(frozen=True)
class PaperTable:
    """A table: `groups` are the collections, or one without a name, each with its columns.

    `caption` says what the columns, the number of queries and the marks are; `verdict`, of one
    collection, whether contextual embeddings are needed.
    """

    groups: Sequence[tuple[str, Sequence[str]]]
    rows: Sequence[PaperRow]
    caption: str
    verdict: Sequence[str] = ()


def paper_table(compared: ComparisonResults | SeveralComparisons) -> PaperTable:
    """Return the table of one comparison, or of several and their macro average."""
    if isinstance(compared, SeveralComparisons):
        return _several(compared)
    return _table({"": compared}, _caption(compared, _asked(compared)))


def _several(several: SeveralComparisons) -> PaperTable:
    comparisons = several.comparisons
    asked = "; ".join(f"{name}: {_asked(one)}" for name, one in comparisons.items())
    made = _table(comparisons, _caption(next(iter(comparisons.values())), asked))
    means = [several.average[row.name] for row in made.rows]
    averages = [_column([of[measure] for of in means]) for measure in several.measures]
    rows = [
        PaperRow(row.name, row.letter, [*row.cells, *(column[at] for column in averages)])
        for at, row in enumerate(made.rows)
    ]
    groups = [*made.groups, (AVERAGE, [label_of(measure) for measure in several.measures])]
    caption = f"{made.caption} The macro average weighs every collection alike; it is not tested."
    return PaperTable(groups, rows, caption)


def _table(comparisons: Mapping[str, ComparisonResults], caption: str) -> PaperTable:
    first = next(iter(comparisons.values()))
    letters = _letters(first)
    columns = [
        _qualities(one, measure, letters)
        for one in comparisons.values()
        for measure in one.measures
    ]
    groups = [
        (name, [label_of(measure) for measure in one.measures]) for name, one in comparisons.items()
    ]
    if len(comparisons) == 1 and any(row.latency for row in first.rows.values()):
        columns.append(_times(first))
        groups = [(groups[0][0], [*groups[0][1], "ms a query"])]
    rows = [
        PaperRow(name, letters.get(name, ""), [column[at] for column in columns])
        for at, name in enumerate(first.rows)
    ]
    verdict = verdict_lines(first) if len(comparisons) == 1 else ()
    return PaperTable(groups, rows, caption, verdict)


def _letters(comparison: ComparisonResults) -> dict[str, str]:
    """Return a letter for each system of a comparison of all pairs: a to z, then aa, ab, ..."""
    if not comparison.pairs:
        return {}
    several = [f"{one}{two}" for one in ("", *ascii_lowercase) for two in ascii_lowercase]
    return dict(zip(comparison.rows, several, strict=False))


def _qualities(
    comparison: ComparisonResults, measure: str, letters: Mapping[str, str]
) -> list[PaperCell]:
    rows = list(comparison.rows.values())
    cells = _column([row.quality[measure] for row in rows])
    found = []
    for cell, row in zip(cells, rows, strict=True):
        difference = row.differences.get(measure)
        said = verdict(difference) if difference and not letters else ""
        mark = said if said in ("better", "worse") else ""
        beaten = [letters[one] for one in comparison.beaten_by(row.name, measure) if letters]
        found.append(PaperCell(cell.text, cell.best, mark, ",".join(beaten)))
    return found


def _column(values: Sequence[float]) -> list[PaperCell]:
    best = best_text(values, quality, max)
    return [PaperCell(quality(value), quality(value) == best) for value in values]


def _times(comparison: ComparisonResults) -> list[PaperCell]:
    draw = decimals(2)
    times = [row.query_ms if row.latency else None for row in comparison.rows.values()]
    best = best_text(times, draw, min)
    texts = [NOTHING if time is None else draw(time) for time in times]
    return [PaperCell(text, text == best) for text in texts]


def _asked(comparison: ComparisonResults) -> str:
    kind = comparison.kind_of_queries
    queries = pluralize(len(comparison.queries), f"{kind} query", f"{kind} queries")
    return f"{queries}, {comparison.environment.get('collection', '')}".removesuffix(", ")


def _caption(comparison: ComparisonResults, asked: str) -> str:
    measures = join_names([label_of(measure) for measure in comparison.measures])
    parts = [f"{measures} ({asked}).", "Best values are bold."]
    test = (
        f"paired randomization test, p < {significance.ALPHA}, Holm-corrected over "
        "the {} of each measure"
    )
    if comparison.pairs:
        parts.append(
            "Superscripts: the letters of the systems that are significantly worse "
            f"({test.format(f'{len(comparison.pairs)} pairs')})."
        )
    elif comparison.baseline:
        parts.append(
            f"Arrows: significantly better or worse than {comparison.baseline} "
            f"({test.format('systems')})."
        )
    return " ".join(parts)
