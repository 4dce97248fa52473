"""Make queries from sampled documents: no judgments, no network and no language model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from indexes.catalog.document_rows import whole_text
from indexes.document import Document
from indexes.errors import InputError, check_seed, pluralize
from retriever.collection import Collection
from retriever.document_queries.drawing import SPARE, Drawn, in_rounds, queries_by_kind
from retriever.document_queries.duplicates import repeated_documents
from retriever.document_queries.kinds import FEWEST_LEFT, checked_kinds
from retriever.document_queries.rest import rest_of, words_of
from retriever.evaluation.significance import SEED
from retriever.known_items.items import OWN, KnownItem, MadeQueries

COUNT = 300
# Those whose order of systems reversed no significant difference: `benchmarks/known_items.py`.
DEFAULT_KINDS = ("title", "first", "middle")
# Documents that are read at once.
AT_ONCE = 200

# Makes one query of a document, or several, or none; a query that it repeats is removed from it.
MadeBy = Callable[[Document], str | Iterable[str] | None]


def make_queries(
    collection: Collection,
    count: int = COUNT,
    *,
    kinds: Iterable[str] | None = None,
    seed: int = SEED,
    made_by: MadeBy | None = None,
) -> MadeQueries:
    """Return queries made from sampled documents, each to find the rest of its document.

    Each document gives one query, of the `kinds` (default: `DEFAULT_KINDS`) in turn; only where
    there are too few documents, it gives one of each kind. What a query says is taken out of its
    document: the title, and every sentence that says the same. Documents that another one repeats
    are left out, and those of which too little would be left. The same `seed` and corpus give the
    same queries, whatever indexes there are.

    `made_by` makes the queries instead: a function of a document that returns a text, several, or
    None for no query; a language model, for example. It is called for sampled documents only.

    Raises:
        InputError: no document gives a query; an unknown kind; a count below 1; `made_by` returns
            something else.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InputError(f"The number of queries is {count!r}; expected a whole number from 1 up.")
    check_seed(seed)
    if made_by is not None:
        drawn = _by_function(_shuffled(collection, seed), made_by)
    else:
        wanted = checked_kinds(DEFAULT_KINDS if kinds is None else kinds)
        drawn = _by_kind(collection, wanted, seed)
    return _made(collection, drawn, count)


def _made(collection: Collection, drawn: Iterator[list[Drawn]], count: int) -> MadeQueries:
    """Return `count` queries: one of each drawn document, then the next of each, ..."""
    most = min(count, len(collection))
    pool = list(islice(drawn, int(SPARE * most) + 1))
    sampled = collection.documents_of([queries[0][0] for queries in pool])
    texts = {one.doc_id: whole_text(one) for one in sampled}
    repeated = repeated_documents(texts, ((one.doc_id, whole_text(one)) for one in collection))
    pool = [queries for queries in pool if queries[0][0] not in repeated]
    chosen = in_rounds(pool, count)
    if not chosen:
        raise InputError(
            f"No document of {collection.path}/ gives a query: expected a title or at least two "
            f"sentences, and {FEWEST_LEFT} words besides what becomes the query, that no other "
            "document repeats. Give queries with --queries FILE (queries)."
        )
    notes = []
    if repeated:
        that = pluralize(len(repeated), "sampled document", "sampled documents")
        notes.append(f"{that} that another one repeats gave no query.")
    if len(chosen) < count:
        notes.append(f"The documents give {len(chosen):,} queries, not {count:,}.")
    width = len(str(len(chosen)))
    items = [
        KnownItem(f"{kind}-{number:0{width}}", query, doc_id, rest, kind)
        for number, (doc_id, query, rest, kind) in enumerate(chosen, 1)
    ]
    return MadeQueries(items, tuple(notes))


def _by_kind(collection: Collection, kinds: Sequence[str], seed: int) -> Iterator[list[Drawn]]:
    """Yield the queries of each document that gives any, in random order."""
    frequencies = Counter[str]()
    if "keywords" in kinds:
        for document in collection:
            frequencies.update(set(words_of(whole_text(document))))
    yield from queries_by_kind(_shuffled(collection, seed), kinds, frequencies, len(collection))


def _by_function(documents: Iterable[Document], made_by: MadeBy) -> Iterator[list[Drawn]]:
    for document in documents:
        made = made_by(document)
        queries = [made] if isinstance(made, str) else list(made or ())
        for query in queries:
            if not isinstance(query, str) or not query.strip():
                raise InputError(
                    f"made_by returned {query!r} for document {document.doc_id}; expected a text "
                    "that is not empty, a list of such texts, or None."
                )
        found = [(document.doc_id, one, rest_of(document.text, one), OWN) for one in queries]
        if found := [one for one in found if words_of(one[2])]:
            yield found


def _shuffled(collection: Collection, seed: int) -> Iterator[Document]:
    """Yield the documents that have a text, in random order."""
    doc_ids = [document.doc_id for document in collection]
    order = np.random.default_rng([seed, 2]).permutation(len(doc_ids)).tolist()
    for start in range(0, len(order), AT_ONCE):
        wanted = [doc_ids[place] for place in order[start : start + AT_ONCE]]
        found = {document.doc_id: document for document in collection.documents_of(wanted)}
        yield from (found[one] for one in wanted if one in found and found[one].text.strip())
