"""The embedders of a collection's indexes: loaded when needed, kept, and found to be the same."""

from __future__ import annotations

from collections.abc import Sequence

from indexes.builder import Encode
from indexes.store import Store
from retriever.embedders import Embedder, Reporting, load_embedder
from retriever.embedders.base import Matrix
from retriever.provenance import check_same, spec_of

__all__ = ["Models", "encode"]


class Models:
    """Embedders by index; those of indexes over the same vectors are one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loaded: dict[str, Embedder] = {}

    def of(self, index: str) -> Embedder:
        """The embedder that made an index's vectors.

        Raises:
            MismatchError: the model of that name is no longer the one that made them.
            InputError: it is one of the user's own, and was not given.
        """
        embedding = self._store.embedding(index)
        embedder = self._loaded.get(embedding.fingerprint)
        if embedder is None:
            embedder = load_embedder(spec_of(index, embedding))
            check_same(index, embedding, embedder)
            self.keep(embedder)
        return embedder

    def keep(self, embedder: Embedder) -> None:
        """Have an embedder at hand for the indexes that it made."""
        self._loaded[embedder.fingerprint] = embedder

    def use(self, index: str, embedder: Embedder) -> None:
        """Answer an index's queries with this embedder.

        Raises:
            MismatchError: it is not the embedder that made the index's vectors.
        """
        check_same(index, self._store.embedding(index), embedder)
        self.keep(embedder)

    def encoder(self, index: str) -> Encode:
        """What embeds documents for an index; errors as in `of`."""
        embedder = self.of(index)
        return lambda texts: encode(embedder, texts)


def encode(embedder: Embedder, texts: Sequence[str]) -> tuple[Matrix, dict[str, int]]:
    """The vectors of documents, and what the embedder counted on the way."""
    if not isinstance(embedder, Reporting):
        return embedder.encode_documents(texts), {}
    vectors, report = embedder.encode_and_report(texts)
    counts = {
        "words": report.words,
        "known_words": report.known_words,
        "truncated": report.truncated,
        "tokens": report.tokens,
    }
    return vectors, counts
