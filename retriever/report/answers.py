"""Answers of indexes: as the lines of a file, a TREC run or CSV, and grouped by who found what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from indexes.errors import InputError
from retriever.formats.runs import run_lines
from retriever.formats.writing import delimited_line
from retriever.search.results import Hits

# By index, the hits of each query id.
Answers = Mapping[str, Mapping[str, Hits]]
COLUMNS = ("query_id", "index", "rank", "doc_id", "score", "title", "text")


def trec_lines(answers: Answers) -> Iterator[str]:
    """Return the lines of a TREC run of one index, which is its tag.

    Raises:
        InputError: several indexes answered, or an id does not fit its column.
    """
    if len(answers) != 1:
        raise InputError(
            f"A TREC run is of one system, and {len(answers)} indexes answered: "
            f"{', '.join(answers)}. Choose one with -i (index)."
        )
    ((name, found),) = answers.items()
    run = {query_id: [(hit.doc_id, hit.score) for hit in hits] for query_id, hits in found.items()}
    return run_lines(run, name)


def csv_lines(answers: Answers) -> Iterator[str]:
    """Yield a header and a line for each hit, cells quoted as in RFC 4180 where needed."""
    yield delimited_line(COLUMNS, ",")
    for name, found in answers.items():
        for query_id, hits in found.items():
            for hit in hits:
                # float(), because NumPy scalars print their type.
                cells = (query_id, name, str(hit.rank), hit.doc_id, repr(float(hit.score)))
                yield delimited_line((*cells, hit.title, hit.text), ",")


def found_by(
    ranks: Mapping[str, Mapping[str, int]], documents: Sequence[str]
) -> dict[tuple[str, ...], list[str]]:
    """Group documents by who found them: most finders first, then the best rank first.

    `ranks` are those of each index, by document.
    """
    names = list(ranks)
    groups: dict[tuple[str, ...], list[str]] = {}
    for doc_id in documents:
        finders = tuple(name for name in names if doc_id in ranks[name])
        groups.setdefault(finders, []).append(doc_id)

    def place(doc_id: str) -> tuple[int, list[int]]:
        # Ties in the best rank are broken by the indexes in their order.
        all_ranks = [ranks[name].get(doc_id, 10**9) for name in names]
        return min(all_ranks), all_ranks

    order = sorted(groups, key=lambda group: (-len(group), [names.index(n) for n in group]))
    return {finders: sorted(groups[finders], key=place) for finders in order}
