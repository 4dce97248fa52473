"""Sources of documents checked, and forgotten where they are damaged."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from indexes.catalog.corpus import Corpus
from indexes.catalog.sqlite.database import Catalog, Row
from indexes.errors import DamageError, pluralize

# The cure of a damaged row of members.
MEMBERS = "sources"


def origin_faults(catalog: Catalog, corpus: Corpus) -> Iterator[tuple[str, str]]:
    """Yield what is wrong, and its cure, for every row of members that is damaged."""
    for row in corpus.origins.rows():
        if fault := _fault_of(row, catalog, corpus):
            yield fault, MEMBERS


def _fault_of(row: Row, catalog: Catalog, corpus: Corpus) -> str:
    try:
        members = corpus.origins.checked(row).tolist()
    except DamageError as error:
        return str(error)
    except (zlib.error, ValueError, TypeError):  # with a seal that fits
        return f"The documents of source {row[0]} are no list of numbers."
    sql = "SELECT document FROM documents WHERE document BETWEEN ? AND ?"
    found = {number for (number,) in catalog.rows(sql, [members[0], members[-1]])}
    if strays := len(set(members) - found):
        return f"Source {row[0]} has {pluralize(strays, 'document')} that do not exist."
    return ""


def forget_damaged(catalog: Catalog, corpus: Corpus) -> str:
    """Drop the rows of members that are damaged; return what was done.

    Their documents stay; those that come again are noted again, and none is removed until then.
    """
    dropped = [row for row in corpus.origins.rows() if _fault_of(row, catalog, corpus)]
    with catalog.writing():
        for origin, block, *_ in dropped:
            corpus.origins.drop(origin, block)
        # Sources have to be read again, though they are unchanged.
        catalog.execute("DELETE FROM sources")
    return (
        f"forgot which documents came from where in {pluralize(len(dropped), 'row')}: the next "
        "update notes it again, of documents that still come"
    )
