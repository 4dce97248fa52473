"""Hits as terminal lines: of one index, or of several side by side."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from indexes.catalog.filters.field_names import field_path, value_at
from retriever.formatting import WIDTH, beginning, join_names
from retriever.report.answers import found_by
from retriever.report.terminal.escape import one_line

if TYPE_CHECKING:
    from retriever.search.results import Hit, Hits

LONGEST_ID = 24
LONGEST_VALUE = 40
# Where the sentence of a hit begins, and how its marked words look.
INDENT, MATCH = 13, "bold yellow"
# A shorter excerpt is useless.
SHORTEST_TEXT = 4
# Ranks with index names take at most this many columns; beyond it letters replace the names.
RANK_COLUMNS = 48
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def hits_list(hits: Hits, fields: Sequence[str] = (), columns: int = WIDTH) -> Iterator[Text]:
    """Yield one line per hit: rank, score, id, some metadata, and as much text as fits."""
    width = id_width([hit.doc_id for hit in hits], columns)
    for hit in hits:
        head = Text(f"{hit.rank:>3}  {hit.score:6.3f}  ")
        yield _line(head + Text(fit(hit.doc_id, width), style="bold"), hit, fields, columns)
    if not hits:
        yield Text("  no hits", style="dim")


def hit_blocks(
    hits: Hits,
    chosen: Sequence[tuple[str, Sequence[tuple[int, int]]]],
    fields: Sequence[str],
    columns: int,
) -> Iterator[Text]:
    """Yield two lines per hit, `columns` wide: who it is, and its best sentence with words marked.

    `chosen` are the sentences, each one line, with the spans to mark.
    """
    width = id_width([hit.doc_id for hit in hits], columns)
    for hit, (sentence, spans) in zip(hits, chosen, strict=True):
        head = Text(f"{hit.rank:>3}  {hit.score:6.3f}  ")
        head += Text(fit(hit.doc_id, width), style="bold")
        if hit.stale:
            head += Text("  stale", style="yellow")
        if metadata := shown_fields(hit, fields):
            head += Text(f"  {metadata}", style="cyan")
        if (space := columns - head.cell_len - 2) >= SHORTEST_TEXT and hit.title:
            head += Text(f"  {fit(hit.title, space)}".rstrip(), style="italic")
        yield head
        if hit.image and not hit.text:
            sentence, spans = one_line(hit.image.source), ()
        if sentence:
            yield Text(" " * INDENT) + _marked(sentence, spans, columns - INDENT)
    if not hits:
        yield Text("  no hits", style="dim")


def _marked(line: str, spans: Sequence[tuple[int, int]], width: int) -> Text:
    """Return a line with some spans marked, cut at the end, and at the start if need be."""
    start = 0
    if spans and cell_len(line[: spans[0][1]]) > width * 2 // 3:
        # At most a third of the line stands before the first word that is marked.
        start = line.find(" ", max(0, spans[0][0] - width // 3)) + 1
        start = start if 0 < start <= spans[0][0] else spans[0][0]
    before = "…" if start else ""
    text = Text(before + line[start:])
    for begin, end in spans:
        if begin >= start:
            text.stylize(MATCH, begin - start + len(before), end - start + len(before))
    text.truncate(width, overflow="ellipsis")
    return text


def shown_fields(hit: Hit, fields: Sequence[str]) -> str:
    """Return the fields that a hit has, as `name=value` in one line; a dot leads into objects."""
    shown = []
    for name in fields:
        if (value := value_at(hit.metadata, field_path(name))) is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            shown.append(f"{one_line(name)}={beginning(one_line(text), LONGEST_VALUE)}")
    return "  ".join(shown)


def side_by_side(
    answers: Mapping[str, Hits], fields: Sequence[str] = (), columns: int = WIDTH
) -> Iterator[Text]:
    """Yield the hits of several indexes for one query, grouped by the indexes that found them.

    Every line gives the document's rank in each index, `-` if not among the hits. If the index
    names leave no space for text, letters replace them, with a legend on top.
    """
    ranks = {name: {hit.doc_id: hit.rank for hit in hits} for name, hits in answers.items()}
    documents = {hit.doc_id: hit for hits in reversed(list(answers.values())) for hit in hits}
    labels = _labels(list(answers))
    if list(labels) != list(labels.values()) and documents:
        yield from (Text(f"  {label} = {name}") for name, label in labels.items())
    width = id_width(list(documents), columns)
    for finders, found in found_by(ranks, list(documents)).items():
        heading = _heading([labels[name] for name in finders], len(answers), len(found))
        yield Text(heading, style="bold cyan")
        for doc_id in found:
            cells = [f"{labels[name]} {ranks[name].get(doc_id, '-'):>3}" for name in labels]
            head = Text(f"  {'  '.join(cells)}  ") + Text(fit(doc_id, width), style="bold")
            yield _line(head, documents[doc_id], fields, columns)
    if not documents:
        yield Text("  no hits", style="dim")


def _labels(names: Sequence[str]) -> dict[str, str]:
    """Return a label per name: the name, or a letter if the names together are too long."""
    if sum(cell_len(name) + len("  123 ") for name in names) <= RANK_COLUMNS:
        return {name: name for name in names}
    rounds = [str(n) if n else "" for n in range(len(names) // len(LETTERS) + 1)]
    letters = [letter + again for again in rounds for letter in LETTERS]
    return dict(zip(names, letters, strict=False))


def _heading(finders: Sequence[str], answers: int, documents: int) -> str:
    if len(finders) == answers:
        return f"found by {'both' if answers == 2 else 'all'} ({documents})"
    return f"found by {join_names(finders)} only ({documents})"


def _line(head: Text, hit: Hit, fields: Sequence[str] = (), columns: int = WIDTH) -> Text:
    """Return the head, a mark if the hit is stale, and as much of title and text as fits."""
    if metadata := shown_fields(hit, fields):
        head = head + Text(f"  {metadata}", style="cyan")
    if hit.stale:
        head = head + Text("  stale", style="yellow")
    space = columns - head.cell_len - 2
    if space < SHORTEST_TEXT:
        return head
    name = hit.image.source if hit.image and not hit.text else ""
    return head + Text(f"  {fit(f'{hit.title} {hit.text or name}', space)}".rstrip())


def id_width(doc_ids: Sequence[str], columns: int = WIDTH) -> int:
    """Return the width of a column of ids: that of the longest, up to a quarter of a line."""
    longest = max((cell_len(one_line(doc_id)) for doc_id in doc_ids), default=0)
    return min(LONGEST_ID, max(1, columns // 4), longest)


def fit(text: str, width: int) -> str:
    """Return one line of exactly `width` terminal columns, padded or cut with an ellipsis."""
    line = one_line(text)
    if cell_len(line) <= width:
        return set_cell_size(line, width)
    return set_cell_size(line, width - 1) + "…"
