"""What the document stores of several frameworks do with a collection in the same way."""

from __future__ import annotations

from collections.abc import Sequence

from retriever.collection import Collection


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
