"""A word's neighbors and senses, or its uses in one sense, as terminal lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from indexes.errors import pluralize
from retriever.formatting import WIDTH, decimals, format_optional, percentage
from retriever.report.terminal.escape import one_line
from retriever.report.terminal.hits import fit, id_width
from retriever.word_senses import Use, WordSenses, WordUses

HEADING, MARKED = "bold cyan", "bold"


def sense_lines(found: WordSenses | WordUses, columns: int = WIDTH) -> Iterator[Text]:
    """Yield the static neighbors of a word, then its contextual senses, `columns` wide.

    Every use is cut so that the word itself is visible, from about fifty columns on.
    """
    if isinstance(found, WordUses):
        yield from _uses(found, columns)
        return
    if found.static is not None:
        said = f"{found.word} in {found.static}: one vector, nearest words"
        yield Text(_begin_of(said, columns), style=HEADING)
        yield from _wrapped([f"{one.word} {one.cosine:.3f}" for one in found.neighbors], columns)
    senses = pluralize(len(found.senses), "sense")
    apart = "" if found.silhouette is None else f", silhouette {found.silhouette:.2f}"
    said = f"{found.word} in {found.index}: {senses} in {_counted_uses(found)}{apart}"
    yield Text(_begin_of(said, columns), HEADING)
    for sense in found.senses:
        uses = pluralize(sense.count, "use")
        head = Text(f"sense {sense.number}: {uses}, {percentage(sense.share)}", style="bold")
        near = f"  co-occurs with: {', '.join(map(one_line, sense.words))}" if sense.words else ""
        yield Text.assemble(head, _begin_of(near, columns - head.cell_len))
        width = id_width([use.doc_id for use in sense.passages], columns)
        for use in sense.passages:
            yield _use(Text(f"  {use.contextual:6.3f}  "), use, width, columns)


def _uses(found: WordUses, columns: int) -> Iterator[Text]:
    yield Text(fit(f"{found.word} as in: {found.text}", columns).rstrip(), style=HEADING)
    static = f", and of its one vector in {found.static}" if found.static else ""
    said = f"the nearest of {_counted_uses(found)}, by the cosine in {found.index}{static}"
    yield Text(fit(said, columns).rstrip())
    if found.uses:
        yield Text("     contextual" + ("  static" if found.static else ""), style="dim")
    width = id_width([use.doc_id for use in found.uses], columns)
    for use in found.uses:
        static = f"{format_optional(use.static, decimals(3)):>6}  " if found.static else ""
        yield _use(Text(f"{use.rank:>3}  {use.contextual:10.3f}  {static}"), use, width, columns)
    if not found.uses:
        yield Text("  no uses", style="dim")


def _counted_uses(found: WordSenses | WordUses) -> str:
    facts = found.found
    of = "" if facts.used == facts.occurrences else f" of {facts.occurrences:,}"
    return f"{facts.used:,}{of} {'use' if facts.used == facts.occurrences == 1 else 'uses'}"


def _wrapped(parts: Sequence[str], columns: int) -> Iterator[Text]:
    """Yield comma-separated parts, wrapped to `columns`."""
    line = ""
    for part in map(one_line, parts):
        longer = f"{line}, {part}" if line else f"  {part}"
        if line and cell_len(longer) >= columns:
            yield Text(f"{line},")
            longer = f"  {part}"
        line = _begin_of(longer, columns - 1)
    yield Text(line if parts else "  nothing")


def _use(head: Text, use: Use, width: int, columns: int) -> Text:
    """Return one line with the word marked and its context cut evenly on both sides."""
    head = head + Text(fit(use.doc_id, width), style="bold") + Text("  ")
    begin, end = use.span
    # Keep a blank at the end, which separates the word from the one before it.
    before = one_line(f"{use.text[:begin]}|")[:-1]
    space = columns - head.cell_len
    word = _begin_of(f"[{one_line(use.text[begin:end])}]", space)
    after = one_line(f"|{use.text[end:]}")[1:]
    space -= cell_len(word)
    left = max(space // 2, space - cell_len(after))
    before = _end_of(before, left)
    after = _begin_of(after, space - cell_len(before))
    return head + Text.assemble(before, (word, MARKED), after)


def _begin_of(line: str, width: int) -> str:
    """Return the beginning of a line in at most `width` columns, with an ellipsis if it is cut."""
    if cell_len(line) <= width:
        return line
    return f"{set_cell_size(line, width - 1)}…" if width > 0 else ""


def _end_of(line: str, width: int) -> str:
    """Return the end of a line in at most `width` columns, with an ellipsis if it is cut."""
    if cell_len(line) <= width:
        return line
    while line and cell_len(line) >= width:
        line = line[1:]
    return f"…{line}" if width > 0 else ""
