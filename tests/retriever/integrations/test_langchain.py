"""LangChain's standard tests over our vector store and retriever, and what they leave out."""

import asyncio

import pytest

pytest.importorskip("langchain_tests", reason="the extra langchain-tests is not installed")

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_tests.integration_tests import (
    RetrieversIntegrationTests,
    VectorStoreIntegrationTests,
)

from indexes.errors import InputError
from retriever import Collection
from retriever.embedders import HashingEmbedder
from retriever.integrations.langchain import CollectionRetriever, CollectionVectorStore
from tests.support.toy import ANIMALS, Axes, exactly, refused


class Words(Embeddings):
    """The embedder `Axes` as LangChain has embeddings."""

    def __init__(self, model="axes"):
        self.model = model

    def embed_documents(self, texts):
        return Axes().encode_documents(texts).tolist()

    def embed_query(self, text):
        return self.embed_documents([text])[0]


@pytest.fixture
def vectorstore(collection):
    store = CollectionVectorStore(collection, Words())
    store.add_texts(["north", "east", "north east up"], ids=["n", "e", "all"])
    return store


class TestStandardVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, collection):
        return CollectionVectorStore(collection, self.get_embeddings())


class TestStandardRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _library(self, tmp_path):
        with Collection.create(tmp_path / "library") as collection:
            collection.add(ANIMALS)
            collection.build("floor", HashingEmbedder())
            self.library = collection
            yield

    @property
    def retriever_constructor(self):
        return CollectionRetriever

    @property
    def retriever_constructor_params(self):
        return {"collection": self.library}

    @property
    def retriever_query_example(self):
        return "the kitten purrs when the engine idles at the end of April"


def texts(documents):
    return [one.page_content for one in documents]


def test_scores_are_those_of_the_collection(vectorstore):
    found = vectorstore.similarity_search_with_score("north", k=2)
    hits = vectorstore.collection.search("north", k=2)
    assert [(one.id, score) for one, score in found] == [(h.doc_id, h.score) for h in hits]
    assert [one.id for one, _ in found] == ["n", "all"]


def test_a_relevance_is_the_cosine_from_0_to_1(vectorstore):
    ((_, first), *_) = vectorstore.similarity_search_with_relevance_scores("north", k=1)
    assert first == 1.0


def test_scores_that_are_no_cosines_have_no_relevance(vectorstore):
    vectorstore.collection.build("bm25", lexical=True)
    by_words = CollectionVectorStore(vectorstore.collection, index="bm25")
    refused(
        Exception,
        "Scores of 'bm25' are no cosines",
        by_words.similarity_search_with_relevance_scores,
        "north",
    )


def test_a_vector_and_a_filter_are_taken_and_mmr_finds_what_differs(vectorstore):
    vectorstore.add_texts(["north again"], [{"year": 2020}], ids=["new"])
    assert texts(vectorstore.similarity_search_by_vector([0, 1, 0], k=1)) == ["east"]
    assert texts(vectorstore.similarity_search("north", filter="year >= 2020")) == ["north again"]
    diverse = vectorstore.max_marginal_relevance_search("north", k=2, lambda_mult=0.1)
    assert texts(diverse) == ["north", "east"]


def test_an_index_with_its_own_model_needs_no_embeddings_and_is_kept_up_to_date(library):
    store = CollectionVectorStore(library, index="floor")
    store.add_documents([Document(id="owl", page_content="An owl hoots at night.")])
    assert texts(store.similarity_search("an owl at night", k=1)) == ["An owl hoots at night."]


def test_other_embeddings_are_refused(vectorstore):
    refused(Exception, "other", CollectionVectorStore, vectorstore.collection, Words(model="other"))


def test_from_texts_opens_the_collection_again(tmp_path):
    first = CollectionVectorStore.from_texts(["north"], Words(), path=tmp_path / "c", ids=["n"])
    first.collection.close()
    again = CollectionVectorStore.from_texts(["east"], Words(), path=tmp_path / "c", ids=["e"])
    assert texts(again.similarity_search("north east", k=5)) == ["north", "east"]
    again.collection.close()
    refused(
        Exception,
        exactly("Say where the collection is: give path='FOLDER'."),
        CollectionVectorStore.from_texts,
        ["north"],
        Words(),
    )


def test_delete_without_ids_deletes_all(vectorstore):
    assert vectorstore.delete() is True
    assert vectorstore.similarity_search("north") == []


def test_a_title_is_in_the_metadata_and_a_filter_can_be_given_to_invoke(library):
    library.add([{"doc_id": "t", "title": "Taxes", "text": "A deadline.", "source": "faq"}])
    library.build("floor")
    found = CollectionRetriever(collection=library).invoke("deadline", where={"source": "faq"}, k=9)
    by_id = {one.id: one.metadata for one in found}
    assert by_id["t"] == {"title": "Taxes", "source": "faq"}
    assert set(by_id) == {"t", "tax"}


@pytest.mark.parametrize("option", [{"where": "author = 'nobody'"}, {"bogus": 1}])
def test_an_option_that_a_search_does_not_take_is_refused(vectorstore, option):
    message = f"takes no option '{next(iter(option))}'"
    for search, query in (
        (vectorstore.similarity_search, "north"),
        (vectorstore.similarity_search_with_score, "north"),
        (vectorstore.max_marginal_relevance_search, "north"),
        (vectorstore.similarity_search_by_vector, [1.0, 0.0, 0.0]),
        (vectorstore.max_marginal_relevance_search_by_vector, [1.0, 0.0, 0.0]),
    ):
        with pytest.raises(InputError, match=message):
            search(query, k=1, **option)


def test_mmr_by_a_vector_is_that_by_its_text(vectorstore):
    vector = vectorstore.embeddings.embed_query("north")
    by_text = texts(vectorstore.max_marginal_relevance_search("north", k=2, lambda_mult=0.3))
    options = {"k": 2, "lambda_mult": 0.3}
    assert texts(vectorstore.max_marginal_relevance_search_by_vector(vector, **options)) == by_text
    found = vectorstore.amax_marginal_relevance_search_by_vector(vector, **options)
    assert texts(asyncio.run(found)) == by_text


def test_an_empty_store_has_no_relevant_documents(collection):
    store = CollectionVectorStore(collection, Words())
    assert store.similarity_search_with_relevance_scores("north") == []


def test_first_documents_may_come_from_several_threads(collection):
    store = CollectionVectorStore(collection, Words())

    async def add():
        await asyncio.gather(*(store.aadd_texts(["north"], ids=[str(n)]) for n in range(6)))

    asyncio.run(add())
    assert len(store.similarity_search("north", k=10)) == 6
