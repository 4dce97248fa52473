"""Haystack's own tests over our document store, and its retrievers in a pipeline."""

import os

import pytest

os.environ.setdefault("HAYSTACK_TELEMETRY_ENABLED", "False")
pytest.importorskip("haystack", reason="the extra haystack is not installed")

from haystack import Document, Pipeline
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from haystack.testing.document_store import (
    DocumentStoreBaseExtendedTests,
    FilterableDocsFixtureMixin,
)

from indexes.document import Document as OurDocument
from indexes.errors import RetrieverError
from retriever import Collection, HashingEmbedder, Words
from retriever.integrations.haystack import (
    CollectionDocumentStore,
    CollectionEmbeddingRetriever,
    CollectionRetriever,
)
from tests.support.toy import exactly, refused


@pytest.fixture
def document_store(collection):
    return CollectionDocumentStore(collection)


class TestStandard(DocumentStoreBaseExtendedTests, FilterableDocsFixtureMixin):
    @pytest.fixture
    def document_store(self, collection):
        return CollectionDocumentStore(collection)

    @staticmethod
    def assert_documents_are_equal(received, expected):
        """Embeddings are found by, but not returned."""
        plain = [Document.from_dict({**one.to_dict(), "embedding": None}) for one in expected]
        assert received == plain

    def test_write_documents(self, document_store):
        one = Document(content="test doc")
        assert document_store.write_documents([one]) == 1
        with pytest.raises(DuplicateDocumentError, match="SKIP or OVERWRITE"):
            document_store.write_documents([one])


COMPASS = [
    Document(id="n", content="north", embedding=[1.0, 0.0], meta={"place": {"name": "pole"}}),
    Document(id="e", content="east", embedding=[0.0, 1.0]),
    Document(id="x", content="no embedding"),
]


def test_an_embedding_finds_documents_that_were_written_with_one(document_store):
    document_store.write_documents(COMPASS)
    found = CollectionEmbeddingRetriever(document_store).run([1.0, 0.5], top_k=5)["documents"]
    assert [(one.id, round(one.score, 6)) for one in found] == [("n", 0.894427), ("e", 0.447214)]
    nested = {"field": "meta.place.name", "operator": "==", "value": "pole"}
    found = CollectionEmbeddingRetriever(document_store).run([0.0, 1.0], filters=nested)
    assert [one.id for one in found["documents"]] == ["n"]


def test_a_document_that_is_written_again_has_its_new_embedding(document_store):
    document_store.write_documents(COMPASS)
    turned = Document(id="e", content="east", embedding=[1.0, 0.01])
    document_store.write_documents([turned], DuplicatePolicy.OVERWRITE)
    found = CollectionEmbeddingRetriever(document_store).run([1.0, 0.01], top_k=1)["documents"]
    assert [(one.id, round(one.score, 6)) for one in found] == [("e", 1.0)]


def test_nothing_is_found_before_an_embedding_was_written(document_store):
    assert CollectionEmbeddingRetriever(document_store).run([1.0, 0.0]) == {"documents": []}


def test_a_pipeline_is_saved_and_loaded_with_its_store(tmp_path):
    store = CollectionDocumentStore(tmp_path / "library", text_index="bm25")
    store.write_documents(COMPASS)
    pipeline = Pipeline()
    pipeline.add_component("words", CollectionRetriever(store, top_k=1))
    store.collection.close()
    trusted = ["retriever.integrations.haystack"]
    loaded = Pipeline.loads(pipeline.dumps(), allowed_modules=trusted)
    answer = loaded.run({"words": {"query": "to the east"}})
    assert [one.content for one in answer["words"]["documents"]] == ["east"]
    loaded.get_component("words").document_store.collection.close()


def test_filters_on_anything_but_meta_are_refused(document_store):
    refused(
        FilterError,
        exactly("The filter on 'content': expected a field of 'meta'."),
        document_store.filter_documents,
        {"field": "content", "operator": "==", "value": "east"},
    )


REFUSED = [
    [Document(id="n", content="one", embedding=[1.0, 0.0, 0.0])],
    [Document(id="n", content="one", embedding=[float("nan"), 0.0])],
    [Document(id="n", content="one", embedding=[1.0]), Document(id="e", embedding=[1.0, 0.0])],
    [Document(id="n", content="one", meta={"set": {1}})],
]


@pytest.mark.parametrize("documents", REFUSED)
def test_what_is_refused_replaces_nothing(document_store, documents):
    document_store.write_documents(COMPASS)
    before = document_store.filter_documents()
    with pytest.raises(RetrieverError):
        document_store.write_documents(documents, DuplicatePolicy.OVERWRITE)
    assert document_store.filter_documents() == before
    found = CollectionEmbeddingRetriever(document_store).run([1.0, 0.0], top_k=1)["documents"]
    assert [one.id for one in found] == ["n"]


@pytest.mark.parametrize(
    ("policy", "text"), [(DuplicatePolicy.SKIP, "first"), (DuplicatePolicy.OVERWRITE, "second")]
)
def test_a_document_that_is_given_twice_is_taken_by_the_policy(document_store, policy, text):
    twice = [Document(id="a", content="first"), Document(id="a", content="second")]
    with pytest.raises(DuplicateDocumentError, match="'a' is given twice"):
        document_store.write_documents(twice)
    assert document_store.count_documents() == 0
    assert document_store.write_documents(twice, policy) == 1
    assert [one.content for one in document_store.filter_documents()] == [text]


@pytest.mark.parametrize(
    "filters",
    [
        "year > 3",
        {"operator": "AND", "conditions": ["x"]},
        {"field": 5, "operator": "==", "value": 1},
    ],
)
def test_a_malformed_filter_is_an_error_of_filters(document_store, filters):
    with pytest.raises(FilterError):
        document_store.filter_documents(filters)


def test_no_text_is_found_in_an_empty_store(collection):
    store = CollectionDocumentStore(collection, text_index="bm25")
    assert CollectionRetriever(store).run("north") == {"documents": []}


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ({"index": "floor"}, "does not hold embeddings that were written; nothing was written"),
        ({"index": "a b"}, "'a b' cannot name an index"),
        ({"text_index": "a b"}, "'a b' cannot name an index"),
        ({"index": "bm25"}, "does not hold embeddings that were written; nothing was written"),
    ],
)
def test_an_index_that_takes_no_embeddings_is_refused_before_anything_changes(
    collection, names, says
):
    collection.add([OurDocument("a", "old")])
    collection.build("floor", HashingEmbedder(2))
    collection.build("bm25", lexical=True)
    store = CollectionDocumentStore(collection, **names)
    new = Document(id="a", content="new", embedding=[1.0, 0.0])
    with pytest.raises(RetrieverError, match=says):
        store.write_documents([new], DuplicatePolicy.OVERWRITE)
    assert [one.content for one in store.filter_documents()] == ["old"]


def test_documents_that_are_split_take_no_embedding(tmp_path):
    with Collection.create(tmp_path / "split", split=Words(2)) as collection:
        store = CollectionDocumentStore(collection)
        store.write_documents([Document(id="a", content="two words", embedding=[1.0])])
        long = Document(id="a", content="more than two words", embedding=[1.0])
        with pytest.raises(RetrieverError, match="'a' has several passages in .*split/, and one"):
            store.write_documents([long], DuplicatePolicy.OVERWRITE)
        assert [one.content for one in store.filter_documents()] == ["two words"]
