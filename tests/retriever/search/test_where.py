"""Filters on metadata: the k nearest matching documents, from every kind of index."""

import numpy as np
import pytest

from indexes.errors import InputError
from retriever import Collection, Document
from retriever.embedders.base import fingerprint_of, unit
from tests.support.commands import fail, objects, succeed
from tests.support.toy import exactly, refused

STRUCTURES = {
    "hnsw": "HNSW32",
    "ivf": "IVF16,Flat",
    "refined": "IVF16,PQ8x4fs,RFlat",
    "pq": "PQ8x4",
    "sq": "SQ8",
    "rotated": "OPQ2_16,IVF8,SQ8",
}
# These rough codes, not refined or in fewer dimensions, lose neighbors with and without a filter.
ROUGH = ("pq", "rotated")
# How many of the 1,900 live documents match a filter.
SELECTIVE = (1, 19, 190, 950, 1898)
QUERIES = [f"query {n}" for n in range(40)]
K = 10


class Stored:
    """A text is the name of a vector: 2,000 documents in 40 groups, and 40 queries near them."""

    name = "stored"
    dim = 32
    fingerprint = fingerprint_of(kind="stored")

    def __init__(self):
        random = np.random.default_rng(11)
        middles = np.repeat(random.standard_normal((40, 32)), 50, axis=0)
        self.documents = unit((middles + 0.4 * random.standard_normal((2000, 32))).astype("f4"))
        near = self.documents[::50] + 0.05 * random.standard_normal((40, 32))
        self.queries = unit(near.astype("f4"))

    def encode_documents(self, texts):
        words = [text.split() for text in texts]
        return np.array(
            [(self.queries if kind == "query" else self.documents)[int(n)] for kind, n in words]
        )

    encode_queries = encode_documents


EMBEDDER = Stored()
DELETED = set(range(0, 2000, 20))  # 100 of them
LIVE = [n for n in np.random.default_rng(5).permutation(2000).tolist() if n not in DELETED]
PLACE_OF = {n: place for place, n in enumerate(LIVE)}


def document(n):
    """The nth document; `place` is a random order of those that will not be deleted."""
    place = PLACE_OF.get(n, 5000)
    tags = ["all", *(["odd"] if n % 2 else []), *(["seventh"] if n % 7 == 0 else [])]
    metadata = {"place": place, "same": place, "nested": {"group": n // 50}, "tags": tags}
    return Document(f"d{n}", f"document {n}", metadata=metadata)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """1,900 documents; of the 2,000 that were added, every twentieth is deleted.

    The structures have seen the first 1,600 only. The field `same` holds what `place` holds, and is
    indexed.
    """
    with Collection.create(tmp_path_factory.mktemp("where") / "library") as collection:
        collection.add(document(n) for n in range(1600))
        collection.build("flat", EMBEDDER)
        for name, factory in STRUCTURES.items():
            collection.build(name, vectors="flat", ann=factory)
        collection.add(document(n) for n in range(1600, 2000))
        collection.delete([f"d{n}" for n in DELETED])
        collection.index_fields("same")
        collection.build("flat")
        yield collection


def oracle(query, numbers, k=K):
    """Return (doc_id, score) by brute force in double precision, best first."""
    vectors = EMBEDDER.documents[numbers].astype(np.float64)
    wanted = EMBEDDER.encode_queries([query])[0].astype(np.float64)
    scores = (vectors * wanted).sum(axis=1).astype(np.float32)
    order = np.lexsort((numbers, -scores))[:k]
    return [(f"d{numbers[at]}", float(scores[at])) for at in order]


def answers(hits):
    return [(hit.doc_id, hit.score) for hit in hits]


def matching(count):
    return np.array(sorted(LIVE[:count]))


@pytest.mark.parametrize("count", SELECTIVE)
@pytest.mark.parametrize("index", ["flat", *STRUCTURES])
def test_k_hits_come_back_and_they_are_the_nearest_matches(library, index, count):
    numbers = matching(count)
    found = library.search_many(QUERIES, index=index, k=K, where={"place": {"<": count}})
    if index == "flat":
        assert [answers(hits) for hits in found] == [oracle(query, numbers) for query in QUERIES]
    unfiltered = library.search_many(QUERIES, index=index, k=K)
    enough = recall(unfiltered, matching(1900)) - 0.05 if index in ROUGH else 0.9
    assert recall(found, numbers) > enough


@pytest.mark.parametrize("count", [190, 950])
@pytest.mark.parametrize("index", [*STRUCTURES])
def test_an_ann_index_with_most_rows_masked_finds_them_too(library, index, count, monkeypatch):
    # So small a collection would otherwise be searched by brute force.
    monkeypatch.setattr("indexes.search.prefilter.FEW_ROWS", 0)
    monkeypatch.setattr("indexes.search.prefilter.COPIED_SHARE", 0.0)
    where = {"place": {"<=": count - 1}, "tags": "all"}
    found = library.search_many(QUERIES, index=index, k=K, where=where)
    assert recall(found, matching(count)) > (0.4 if index in ROUGH else 0.9)


def recall(found, numbers):
    """Return the share of the nearest that was found, by score; check that K matches came back."""
    allowed = {f"d{n}" for n in numbers}
    shares = []
    for query, hits in zip(QUERIES, found, strict=True):
        assert len({hit.doc_id for hit in hits}) == len(hits) == min(K, len(numbers))
        assert {hit.doc_id for hit in hits} <= allowed
        worst = oracle(query, numbers)[-1][1]
        shares.append(np.mean([hit.score >= worst for hit in hits]))
    return np.mean(shares)


@pytest.mark.parametrize("index", ["flat", *STRUCTURES])
def test_scores_are_exact_and_a_large_k_returns_all_matches(library, index):
    for count in (19, 950):
        where = {"place": {"<": count}}
        every = oracle(QUERIES[0], matching(count), k=5000)
        assert answers(library.search(QUERIES[0], index=index, k=5000, where=where)) == every
    exact = dict(oracle(QUERIES[3], matching(950), k=950))
    hits = library.search(QUERIES[3], index=index, k=100, where=where)
    assert len(hits) == 100
    assert all(hit.score == exact[hit.doc_id] for hit in hits)


@pytest.mark.parametrize("index", ["flat", *STRUCTURES])
def test_a_filter_that_matches_nothing_gives_no_hits(library, index):
    for where in ({"place": -1}, {"nothing": {"exists": True}}, {"place": {"in": []}}):
        hits = library.search(QUERIES[0], index=index, where=where)
        assert (list(hits), len(hits.notes)) == ([], 1)
        assert hits.notes[0].startswith("No document matches the filter.")
    # The documents of this place are deleted.
    assert not library.search(QUERIES[0], index=index, where={"place": 5000})


@pytest.mark.parametrize("count", SELECTIVE)
@pytest.mark.parametrize("index", ["flat", "hnsw", "refined"])
def test_an_indexed_field_answers_like_an_unindexed_one(library, index, count):
    for operation in ({"<": count}, {">=": count}, {"in": [1, 2, count]}, {"!=": count}):
        plain = library.search_many(QUERIES[:5], index=index, where={"place": operation})
        assert library.search_many(QUERIES[:5], index=index, where={"same": operation}) == plain


def test_filters_combine_with_and_or_and_not(library):
    groups = {"nested.group": {"in": [0, 3, 39]}}
    either = {"or": [{"tags": "odd"}, {"tags": "seventh"}]}
    where = {"and": [groups, either, {"not": {"place": {"<": 900}}}]}
    numbers = [n for n in sorted(LIVE) if n // 50 in (0, 3, 39) and (n % 2 or n % 7 == 0)]
    numbers = [n for n in numbers if PLACE_OF[n] >= 900]
    hits = library.search(QUERIES[3], index="flat", k=1000, where=where)
    assert len(numbers) > 30
    assert answers(hits) == oracle(QUERIES[3], np.array(numbers), k=1000)


def test_many_queries_answer_like_one_at_a_time(library):
    queries, where = QUERIES[:8], {"place": {"<": 190}}
    for index in ("flat", "hnsw", "pq"):
        unfiltered = library.search_many(queries, index=index)
        together = library.search_many(queries, index=index, k=7, where=where)
        assert together == [library.search(one, index=index, k=7, where=where) for one in queries]
        retriever = library.retriever(index)
        assert together == retriever.search_many(queries, 7, where=where)
        assert together[2] == retriever.search(queries[2], 7, where=where)
        assert library.search_many(queries, index=index) == unfiltered


@pytest.fixture
def small(tmp_path):
    """Ten documents with a year each, in an exact index and a graph."""
    with Collection.create(tmp_path / "small") as collection:
        collection.add(dated(n, 2000 + n) for n in range(10))
        collection.build("flat", EMBEDDER)
        collection.build("graph", vectors="flat", ann="HNSW8")
        yield collection


def dated(n, year):
    return Document(f"d{n}", f"document {n}", metadata={"year": year})


def found_in(collection, where):
    """Return the ids that a filter lets through, in any order; both indexes must agree."""
    flat, graph = (
        sorted(hit.doc_id for hit in collection.search("query 0", index=index, where=where))
        for index in ("flat", "graph")
    )
    assert flat == graph
    return flat


@pytest.mark.parametrize("indexed", [True, False])
def test_a_metadata_edit_shows_in_the_next_query_of_another_reader(small, indexed):
    if indexed:
        small.index_fields("year")
    where = {"year": {">=": 2008}}
    with Collection.open(small.path) as other:
        for name in small.index_names():
            other.use(name, EMBEDDER)
        assert found_in(other, where) == ["d8", "d9"]
        assert small.add([dated(3, 2020)]).changed == 1
        assert found_in(other, where) == ["d3", "d8", "d9"]
        small.add([dated(9, 1990), dated(10, 2030)])
        assert found_in(other, where) == ["d3", "d8"]
        small.build("flat")
        assert found_in(other, where) == ["d10", "d3", "d8"]


@pytest.mark.parametrize("indexed", [True, False])
def test_documents_that_match_a_filter_can_be_deleted(small, indexed):
    for arguments in ({}, {"doc_ids": ["d1"], "where": {"year": 2001}}):
        refused(InputError, "either document ids, or a filter .where.", small.delete, **arguments)
    refused(InputError, "The filter is empty; give at least one condition", small.delete, where={})
    assert len(small) == 10
    if indexed:
        small.index_fields("year")
    assert small.delete(where={"year": {"<": 2007}}) == 7
    assert small.delete(where={"year": {"<": 2007}}) == 0
    assert [d.doc_id for d in small.documents()] == ["d7", "d8", "d9"]
    assert found_in(small, {"year": {"exists": True}}) == ["d7", "d8", "d9"]
    assert small.delete(where={"not": {"year": 2007}}) == 2
    assert small.verify().ok


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("a..b = 1", {"a..b": 1}, "The field 'a..b' is not a name; expected a name, or names"),
        ("year < null", {"year": {"<": None}}, "The filter on 'year': expected a number or text"),
        ("year >= true", {"year": {">=": True}}, "expected a number or text after '>=', found"),
    ],
)
def test_python_and_the_command_line_refuse_filters_alike(small, text, where, says):
    message = fail("delete", str(small.path), "--where", text)
    assert says in message
    refused(InputError, exactly(message), small.search, "query 0", index="flat", where=where)
    refused(InputError, exactly(message), small.delete, where=where)
    assert len(small) == 10


def test_the_command_line_takes_the_same_filters(collection):
    collection.add(Document(f"d{n}", "a text", metadata={"year": n}) for n in range(5))
    place = str(collection.path)
    succeed("build", place, "floor", "--embedder", "hashing")
    where = "year >= 2 and not year = 3"
    hits = objects(succeed("search", place, "text", "--json", "--where", where))
    assert [hit["doc_id"] for hit in hits] == ["d2", "d4"]
    assert fail("search", "nowhere", "x", "--where", "year >") == (
        "The filter 'year >': expected a value after '>' at character 7, found the end. "
        "Example: year >= 2020 and source in (faq, 'press release')"
    )
