"""What the document stores of several frameworks do with a collection in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from indexes.document import Document
from indexes.errors import InputError, MismatchError
from retriever.collection import Collection
from retriever.formats.vectors.reading import vectors_of


def build_text_index(collection: Collection, name: str | None) -> None:
    """Bring an index of texts up to date; one that does not exist is made, of BM25."""
    if name is not None and len(collection):
        collection.build(name, lexical=name not in collection.index_names())


def delete_known(collection: Collection, doc_ids: Sequence[str]) -> int:
    """Delete documents by their ids and return their number; unknown ids are left out."""
    unknown = set(collection.unknown_ids(doc_ids))
    return collection.delete([one for one in dict.fromkeys(doc_ids) if one not in unknown])


def delete_all(collection: Collection) -> int:
    """Delete all documents; return their number."""
    return collection.delete([document.doc_id for document in collection])


def replace_documents(
    collection: Collection,
    documents: Sequence[Document],
    index: str,
    embeddings: Mapping[str, Sequence[float]],
) -> None:
    """Write documents in place of those of their ids, and embeddings of some to an index.

    All of it is checked before anything changes. Documents that exist are deleted first, as one of
    an unchanged text would keep its vector.

    Raises:
        InputError: a document is given twice, or an embedding holds a value that is not finite, or
            is as wide as no other.
        MismatchError: the embeddings are not as wide as those of the index.
    """
    names = [one.doc_id for one in documents]
    if again := next((one for one in names if names.count(one) > 1), None):
        raise InputError(f"Document '{again}' is given twice; nothing was written.")
    vectors = list(embeddings), list(embeddings.values())
    if embeddings:
        _check_embeddings(collection, index, *vectors)
    delete_known(collection, names)
    collection.add(documents)
    if embeddings:
        collection.build(index, from_vectors=vectors, allow_missing=True)


def _check_embeddings(
    collection: Collection, index: str, names: Sequence[str], rows: Sequence[Sequence[float]]
) -> None:
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        wide = " and ".join(map(str, sorted(widths)))
        raise InputError(f"The embeddings are {wide} wide; nothing was written.")
    file = vectors_of((names, rows))
    finite = np.concatenate([np.isfinite(some).all(axis=1) for some in file.batches()])
    if not finite.all():
        name = names[int(np.argmin(finite))]
        raise InputError(
            f"The embedding of '{name}' holds a value that is not finite; nothing was written."
        )
    known = collection.index_info(index).dim if index in collection.index_names() else file.dim
    if known != file.dim:
        raise MismatchError(
            f"The embeddings are {file.dim} wide, and those of '{index}' {known}; nothing was "
            "written."
        )
