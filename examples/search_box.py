"""A search box over a folder of notes: words and meaning in one list, kept up to date.

python examples/search_box.py NOTES [QUERY ...]

Without a query, it asks for one until an empty line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from retriever import Collection, ContextualEmbedder


def open_library(notes: Path) -> Collection:
    """Open the collection next to the notes, and bring it up to date with them."""
    library = Collection.open_or_create(notes.with_name(f"{notes.name}-library"))
    library.update(notes)
    if not library.index_names():
        library.build("words", lexical=True)
        library.build("meaning", ContextualEmbedder("all-MiniLM-L6-v2"))
        library.fuse("both", ["words", "meaning"])
    return library


def typed() -> Iterator[str]:
    """Yield what the user types, until an empty line."""
    while query := input("search: ").strip():
        yield query


def main(notes: Path, queries: Iterable[str]) -> None:
    """Print the three best notes for each query, with the passage that fits."""
    with open_library(notes) as library:
        for query in queries or typed():
            for hit in library.search(query, index="both", k=3):
                print(f"{hit.rank}  {hit.doc_id}  {' '.join(hit.text.split())[:80]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
