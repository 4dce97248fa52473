"""Where a text as written has entries of a vocabulary with separators, such as `c++`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from indexes.text.compounds import Compounds, has_separator
from indexes.text.words import fold_with_origins, visible_span

_CHUNK = re.compile(r"\S+")


def entry_spans(text: str, compounds: Compounds) -> Iterator[tuple[str, int, int]]:
    """Yield each entry that a text is read by, folded, with its begin and end in characters.

    Plain words are left out. Folded as by `fold_with_origins`, so that equal entries are equal.
    """
    folded, origins = fold_with_origins(text)
    for chunk in _CHUNK.finditer(folded):
        at = chunk.start()
        for piece in () if chunk[0].isalnum() else compounds.cut(chunk[0]):
            # Between the pieces are only separators, so the first place is the right one.
            entry = piece.replace("ς", "σ")
            begin = folded.index(entry, at)
            at = begin + len(entry)
            if has_separator(entry):
                first, last = origins[begin], origins[at]
                yield entry, *(visible_span(text, first, last) or (first, last))
