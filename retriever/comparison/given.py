"""Queries of a comparison whose vectors were made elsewhere."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from indexes.errors import InputError
from retriever.collection import Collection
from retriever.comparison.test_set import TestSet
from retriever.formats.vectors.reading import VectorSource
from retriever.indexing.imported import ImportedVectors
from retriever.search.frames import expect_mapping
from retriever.search.given import GivenQueries, query_embedders
from retriever.search.queries import Query
from retriever.search.retriever import Retriever


def given_queries(
    collection: Collection,
    vectors: Mapping[str, VectorSource],
    queries: Mapping[str, Query],
    test_set: TestSet,
) -> dict[str, GivenQueries]:
    """Return what encodes the queries of a test set, by index; errors as in `compare`.

    `queries` are all that were given, for vectors without ids.
    """
    expect_mapping("vectors", vectors, "names of indexes")
    return {
        index: collection.given_queries(index, source, queries, test_set.queries)
        for index, source in vectors.items()
    }


def retrievers_of(
    collection: Collection, indexes: Sequence[str], given: Mapping[str, GivenQueries]
) -> list[Retriever]:
    """Return the indexes, ready to search, with the vectors of queries that were given for them.

    Raises:
        InputError: an index, or a part of one, holds imported vectors of an unknown model, and the
            vectors of the queries were not given; or they were given for one that is not compared.
    """
    retrievers = [collection.retriever(name, given=given) for name in indexes]
    used = set[str]()
    for retriever in retrievers:
        for index, embedder in query_embedders(retriever.finder):
            used.add(index)
            if isinstance(embedder, ImportedVectors):
                part = "" if index == retriever.name else f", a part of '{retriever.name}',"
                raise InputError(
                    f"Index '{index}'{part} holds vectors imported from {embedder.name}, whose "
                    "model is not known: give the vectors of the queries by --query-vectors "
                    f"{shlex.quote(index)} FILE (vectors={{{index!r}: FILE}}), or compare others."
                )
    if unused := [name for name in given if name not in used]:
        raise InputError(
            f"Vectors of queries were given for '{unused[0]}', which is not compared. Compare it, "
            "or leave them out."
        )
    return retrievers


def given_notes(given: Mapping[str, GivenQueries]) -> Iterator[str]:
    """Yield a note for each index whose queries were not encoded here."""
    for index, queries in given.items():
        yield (
            f"The queries of '{index}' were given as vectors ({queries.name}): its latency and "
            "throughput leave out their encoding."
        )
