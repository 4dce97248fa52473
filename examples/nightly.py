"""A nightly update of a collection from its sources, and searches by vectors made elsewhere.

python examples/nightly.py LIBRARY SOURCE [SOURCE ...]

What has not changed costs nothing. An index of your own vectors is brought up to date by giving
those of new and edited documents; here, `embed` stands for the service that makes them.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retriever import Collection

DIM = 32


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Return vectors of texts (n, DIM), as a service of yours would: here, of hashed words."""
    rows = np.zeros((len(texts), DIM), np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in text.lower().split():
            row[hashlib.sha256(word.strip(".,").encode()).digest()[0] % DIM] += 1
    return rows


def update(library: Collection, sources: Sequence[str]) -> None:
    """Bring documents and indexes up to date; embed what is new or was edited."""
    before = {document.doc_id: document.content_checksum() for document in library}
    report = library.update(*sources)
    print(f"{report.added.new} new, {report.added.changed} changed, {report.added.removed} removed")
    new = [one for one in library if before.get(one.doc_id) != one.content_checksum()]
    if new:
        vectors = embed([one.text for one in new])
        library.build("own", from_vectors=([one.doc_id for one in new], vectors))
    print(f"{len(new)} embedded; {library.index_info('own').rows} in the index")


def main(folder: Path, sources: Sequence[str]) -> None:
    """Update the collection, and find the document nearest to the vector of a text."""
    with Collection.open_or_create(folder) as library:
        update(library, sources)
        for hit in library.search(vector=embed(["a kitten"])[0], index="own", k=1):
            print(f"nearest to a kitten: {hit.doc_id} ({hit.score:.3f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
