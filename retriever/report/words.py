"""A word's neighbours and senses, or its uses in one sense, as lines of at most 100 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from retriever.report.hits import LONGEST_ID, fit
from retriever.report.numbers import WIDTH, many, share
from retriever.report.terminal import one_line
from retriever.wordsenses import Use, WordSenses, WordUses

__all__ = ["word_lines", "word_records"]

HEADING, MARKED = "bold cyan", "bold"


def word_records(found: WordSenses | WordUses) -> Iterator[dict[str, Any]]:
    """One record a neighbour, a sense or a use; first one that says what was asked and found."""
    asked = {"word": found.word, "index": found.index, "static_index": found.static}
    if isinstance(found, WordUses):
        asked["in"] = found.text
        yield {**asked, "found": asdict(found.found), "notes": found.notes}
        for use in found.uses:
            yield {**asked, **asdict(use)}
        return
    silhouette = {"senses": len(found.senses), "silhouette": found.silhouette}
    yield {**asked, "found": asdict(found.found), **silhouette, "notes": found.notes}
    for rank, one in enumerate(found.neighbours, start=1):
        yield {**asked, "rank": rank, "neighbour": one.word, "cosine": one.cosine}
    for sense in found.senses:
        told = asdict(sense)
        yield {**asked, "sense": told.pop("number"), **told}


def word_lines(found: WordSenses | WordUses) -> Iterator[Text]:
    """The static side of a word, then the side of its contexts."""
    if isinstance(found, WordUses):
        yield from _uses(found)
        return
    if found.static is not None:
        yield Text(f"{found.word} in {found.static}: one vector, near to", style=HEADING)
        yield from _wrapped([f"{one.word} {one.cosine:.3f}" for one in found.neighbours])
    senses = many(len(found.senses), "sense", "senses")
    apart = "" if found.silhouette is None else f", silhouette {found.silhouette:.2f}"
    yield Text(f"{found.word} in {found.index}: {senses} in {_looked_at(found)}{apart}", HEADING)
    for sense in found.senses:
        uses = many(sense.count, "use", "uses")
        head = Text(f"sense {sense.number}: {uses}, {share(sense.share)}", style="bold")
        beside = f"  beside it: {', '.join(map(one_line, sense.words))}" if sense.words else ""
        yield Text.assemble(head, _begin_of(beside, WIDTH - head.cell_len))
        width = _id_width(sense.passages)
        for use in sense.passages:
            yield _use(Text(f"  {use.contextual:6.3f}  "), use, width)


def _uses(found: WordUses) -> Iterator[Text]:
    said = fit(f"{found.word} as in: {found.text}", WIDTH).rstrip()
    yield Text(said, style=HEADING)
    beside = f", and of its one vector in {found.static}" if found.static else ""
    said = f"the nearest of {_looked_at(found)}, by the cosine in {found.index}{beside}"
    yield Text(fit(said, WIDTH).rstrip())
    if found.uses:
        yield Text("     contextual" + ("  static" if found.static else ""), style="dim")
    width = _id_width(found.uses)
    for use in found.uses:
        static = f"{_drawn(use.static):>6}  " if found.static else ""
        yield _use(Text(f"{use.rank:>3}  {use.contextual:10.3f}  {static}"), use, width)
    if not found.uses:
        yield Text("  no uses", style="dim")


def _looked_at(found: WordSenses | WordUses) -> str:
    facts = found.found
    of = "" if facts.used == facts.occurrences else f" of {facts.occurrences:,}"
    return f"{facts.used:,}{of} {'use' if facts.used == facts.occurrences == 1 else 'uses'}"


def _drawn(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _wrapped(parts: Sequence[str]) -> Iterator[Text]:
    """Parts with commas between them, on as many lines as they need."""
    line = ""
    for part in map(one_line, parts):
        longer = f"{line}, {part}" if line else f"  {part}"
        if line and cell_len(longer) >= WIDTH:
            yield Text(f"{line},")
            longer = f"  {part}"
        line = longer
    yield Text(line or "  nothing")


def _id_width(uses: Sequence[Use]) -> int:
    longest = max((cell_len(one_line(use.doc_id)) for use in uses), default=0)
    return min(LONGEST_ID, longest)


def _use(head: Text, use: Use, width: int) -> Text:
    """A use on a line: the word is marked, and what is beside it cut as evenly as fits."""
    head = head + Text(fit(use.doc_id, width), style="bold") + Text("  ")
    begin, end = use.span
    # One that ends in a blank keeps it: between a word and the next there is one, or nothing.
    before = one_line(f"{use.text[:begin]}|")[:-1]
    word = f"[{one_line(use.text[begin:end])}]"
    after = one_line(f"|{use.text[end:]}")[1:]
    room = WIDTH - head.cell_len - cell_len(word)
    left = max(room // 2, room - cell_len(after))
    before = _end_of(before, left)
    after = _begin_of(after, room - cell_len(before))
    return head + Text.assemble(before, (word, MARKED), after)


def _begin_of(line: str, width: int) -> str:
    """The begin of a line in at most `width` columns, with an ellipsis where it is cut."""
    return line if cell_len(line) <= width else f"{set_cell_size(line, max(width - 1, 0))}…"


def _end_of(line: str, width: int) -> str:
    """The end of a line in at most `width` columns, with an ellipsis where it is cut."""
    if cell_len(line) <= width:
        return line
    while line and cell_len(line) >= width:
        line = line[1:]
    return f"…{line}"
