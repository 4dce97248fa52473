"""What the document stores of several frameworks do with a collection in the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from indexes.catalog.records import IMPORTED
from indexes.catalog.registry import check_index_name
from indexes.document import Document
from indexes.errors import InputError, MismatchError
from retriever.collection import Collection
from retriever.embedders.base import Matrix
from retriever.formats.vectors.reading import vectors_of


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
    text_index: str | None,
) -> None:
    """Write documents in place of those of their ids, embeddings of some to `index`, and index.

    All of it is checked before anything changes. Documents that exist are deleted first, as one of
    an unchanged text would keep its vector.

    Raises:
        InputError: a document is given twice, or has several passages and an embedding; embeddings
            differ in width or hold a value that is not finite; or an index cannot have its name.
        MismatchError: the index holds other vectors, or of another width.
    """
    (most, times), *_ = Counter(one.doc_id for one in documents).most_common(1)
    if times > 1:
        raise InputError(f"Document '{most}' is given twice; nothing was written.")
    for name in (index, text_index):
        if name is not None:
            check_index_name(name)
    vectors = None
    if embeddings:
        _check_passages(collection, [one for one in documents if one.doc_id in embeddings])
        vectors = _checked_vectors(collection, index, list(embeddings), list(embeddings.values()))
    delete_known(collection, [one.doc_id for one in documents])
    collection.add(documents)
    if vectors is not None:
        collection.build(index, from_vectors=(list(embeddings), vectors), allow_missing=True)
    if text_index is not None:
        collection.build(text_index, lexical=text_index not in collection.index_names())


def _check_passages(collection: Collection, documents: Iterable[Document]) -> None:
    split = collection.split
    for one in documents:
        if split is not None and len(split.spans(one.text)) > 1:
            raise InputError(
                f"'{one.doc_id}' has several passages in {collection.path}/, and one embedding; "
                "nothing was written. Take a collection that does not split documents."
            )


def _checked_vectors(
    collection: Collection, index: str, names: Sequence[str], rows: Sequence[Sequence[float]]
) -> Matrix:
    """Return embeddings, (n, dim) in single precision, if the index can take them."""
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        wide = " and ".join(map(str, sorted(widths)))
        raise InputError(f"The embeddings are {wide} wide; nothing was written.")
    file = vectors_of((names, rows))
    vectors = np.concatenate([*file.batches()])
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        name = names[int(np.argmin(finite))]
        raise InputError(
            f"The embedding of '{name}' holds a value that is not finite; nothing was written."
        )
    if index not in collection.index_names():
        return vectors
    known = collection.index_info(index)
    if known.embedder.partition(":")[0] != IMPORTED:
        raise MismatchError(
            f"Index '{index}' exists, and does not hold embeddings that were written; nothing was "
            "written. Choose another name."
        )
    if known.dim != file.dim:
        raise MismatchError(
            f"The embeddings are {file.dim} wide, and those of '{index}' {known.dim}; nothing was "
            "written."
        )
    return vectors
