"""Hits as lines of at most 100 columns: one index, or several side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from retriever.demo import Contrast
from retriever.report.numbers import WIDTH
from retriever.search import Hit, Hits

__all__ = ["contrast_lines", "hits_list", "side_by_side"]

LONGEST_ID = 24


def hits_list(hits: Hits) -> Iterator[Text]:
    """One hit a line: rank, score, id, and as much text as fits."""
    width = max((cell_len(hit.doc_id) for hit in hits), default=0)
    for hit in hits:
        head = f"{hit.rank:>3}  {hit.score:6.3f}  "
        yield _line(Text(head) + Text(_fit(hit.doc_id, min(width, LONGEST_ID)), style="bold"), hit)
    if not hits:
        yield Text("  no hits", style="dim")


def side_by_side(answers: Mapping[str, Hits]) -> Iterator[Text]:
    """What several indexes answered to one query: shared by all, by some, found by one alone.

    Every line gives the document's rank in each index, `-` where it is not among the hits.
    """
    ranks = {name: {hit.doc_id: hit.rank for hit in hits} for name, hits in answers.items()}
    documents = {hit.doc_id: hit for hits in reversed(list(answers.values())) for hit in hits}
    found_by: dict[tuple[str, ...], list[str]] = {}
    for doc_id in documents:
        finders = tuple(name for name in answers if doc_id in ranks[name])
        found_by.setdefault(finders, []).append(doc_id)
    width = min(LONGEST_ID, max(map(cell_len, documents), default=0))
    for finders in sorted(found_by, key=lambda names: (-len(names), list(answers).index(names[0]))):
        yield Text(_heading(finders, answers, len(found_by[finders])), style="bold cyan")
        best = sorted(found_by[finders], key=lambda d: min(ranks[n].get(d, 10**9) for n in answers))
        for doc_id in best:
            columns = "  ".join(f"{n} {ranks[n].get(doc_id, '-'):>3}" for n in answers)
            head = Text(f"  {columns}  ") + Text(_fit(doc_id, width), style="bold")
            yield _line(head, documents[doc_id])
    if not documents:
        yield Text("  no hits", style="dim")


def _heading(finders: Sequence[str], answers: Mapping[str, Hits], documents: int) -> str:
    if len(finders) == len(answers):
        who = "both" if len(finders) == 2 else "all"
        return f"found by {who} ({documents})"
    return f"found by {' and '.join(finders)} only ({documents})"


def _line(head: Text, hit: Hit) -> Text:
    text = " ".join(f"{hit.title} {hit.text}".split())
    room = max(WIDTH - head.cell_len - 2, 16)
    return head + Text(f"  {_fit(text, room).rstrip()}")


def _fit(text: str, width: int) -> str:
    """Exactly `width` columns of a terminal: cut with an ellipsis, or filled up."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…"


def contrast_lines(contrast: Contrast) -> Iterator[Text]:
    """A query on which two indexes differ: values, then the hits of each, right ones marked."""
    yield Text()
    yield Text(_fit(f"query {contrast.query_id}: {contrast.text}", WIDTH), style="bold")
    values = ", ".join(f"{name} {value:.3f}" for name, value in contrast.values.items())
    right = ", ".join(f"{doc_id} ({grade})" for doc_id, grade in contrast.relevant.items())
    yield Text(_fit(f"  nDCG@10: {values}; people say (grade): {right}", WIDTH).rstrip())
    for name, hits in contrast.hits.items():
        yield Text(f"  {name}", style="bold cyan")
        for hit in hits:
            mark = "*" if hit.doc_id in contrast.relevant else " "
            head = Text(f"  {mark} {hit.rank}  {hit.score:.3f}  ") + Text(hit.doc_id, style="bold")
            yield _line(head, hit)
