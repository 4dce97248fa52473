"""LlamaIndex's indexes over our vector store, against its own store; and our retriever."""

import pytest

pytest.importorskip("llama_index.core", reason="the extra llamaindex is not installed")

from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import Document, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    SimpleVectorStore,
    VectorStoreQuery,
)
from llama_index.core.vector_stores.types import VectorStoreQueryMode

from indexes.errors import InputError, RetrieverError
from retriever import Collection
from retriever.integrations.llamaindex import CollectionRetriever, CollectionVectorStore
from tests.support.toy import Axes, refused


class Words(BaseEmbedding):
    """The embedder `Axes` as LlamaIndex has embeddings."""

    def _get_text_embedding(self, text):
        return Axes().encode_documents([text])[0].tolist()

    _get_query_embedding = _get_text_embedding

    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)


def node(node_id, text, vector, source, **metadata):
    relation = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id=source)}
    return TextNode(
        id_=node_id, text=text, embedding=vector, metadata=metadata, relationships=relation
    )


NODES = [
    node("n", "north", [1.0, 0.0, 0.0], "poles", year=1990, tags=["cold", "white"]),
    node("e", "east", [0.0, 1.0, 0.0], "sides", year=2000, name="orient"),
    node("all", "north east up", [0.6, 0.6, 0.6], "sides", year=2010, tags=["high"]),
    node("u", "up", [0.0, 0.0, 1.0], "sides", name="zenith"),
]


@pytest.fixture
def store(collection):
    made = CollectionVectorStore(collection, text_index="bm25")
    assert made.add(NODES) == ["n", "e", "all", "u"]
    return made


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same nodes in our store, and in that of LlamaIndex; only to be read."""
    theirs = SimpleVectorStore()
    theirs.add(NODES)
    with Collection.create(tmp_path_factory.mktemp("llamaindex") / "c") as collection:
        ours = CollectionVectorStore(collection)
        ours.add(NODES)
        yield ours, theirs


def test_an_index_of_llamaindex_is_built_asked_and_updated(collection):
    storage = StorageContext.from_defaults(vector_store=CollectionVectorStore(collection))
    documents = [Document(text=text, id_=text) for text in ("north", "east", "up")]
    index = VectorStoreIndex.from_documents(
        documents, storage_context=storage, embed_model=Words(), transformations=[]
    )
    asked = index.as_retriever(similarity_top_k=2)
    assert [one.text for one in asked.retrieve("north")] == ["north", "east"]
    index.delete_ref_doc("north")
    assert [one.text for one in asked.retrieve("north east")] == ["east", "up"]
    again = VectorStoreIndex.from_vector_store(storage.vector_store, embed_model=Words())
    assert [one.text for one in again.as_retriever(similarity_top_k=1).retrieve("up")] == ["up"]


def test_nodes_come_back_as_they_were(store):
    found = store.query(VectorStoreQuery(query_embedding=[0, 0, 1], similarity_top_k=1))
    assert (found.ids, found.similarities) == (["u"], [1.0])
    assert found.nodes[0].ref_doc_id == "sides"
    assert found.nodes[0].model_dump() == {**NODES[3].model_dump(), "embedding": None}


FILTERS = [
    ("year", FilterOperator.EQ, 2000),
    ("year", FilterOperator.NE, 2000),
    ("year", FilterOperator.GT, 1990),
    ("year", FilterOperator.GTE, 1990),
    ("year", FilterOperator.LT, 2010),
    ("year", FilterOperator.LTE, 2010),
    ("year", FilterOperator.IN, [1990, 2010]),
    ("name", FilterOperator.NIN, ["zenith"]),
    ("tags", FilterOperator.CONTAINS, "cold"),
    ("tags", FilterOperator.ANY, ["white", "high"]),
    ("tags", FilterOperator.ALL, ["white", "cold"]),
]


def answers(store, filters):
    query = VectorStoreQuery(query_embedding=[0.9, 0.5, 0.1], similarity_top_k=9, filters=filters)
    return store.query(query).ids


@pytest.mark.parametrize(("key", "operator", "value"), FILTERS)
def test_a_filter_matches_what_it_does_in_the_store_of_llamaindex(both, key, operator, value):
    one = MetadataFilters(filters=[MetadataFilter(key=key, operator=operator, value=value)])
    ours, theirs = (answers(store, one) for store in both)
    assert 0 < len(ours) < 4
    assert ours == theirs


@pytest.mark.parametrize("condition", FilterCondition)
def test_conditions_combine_filters_as_in_the_store_of_llamaindex(both, condition):
    parts = [
        MetadataFilter(key="year", operator=FilterOperator.GT, value=1990),
        MetadataFilter(key="name", operator=FilterOperator.EQ, value="orient"),
    ]
    combined = MetadataFilters(filters=parts, condition=condition)
    ours, theirs = (answers(store, combined) for store in both)
    assert ours == theirs


def test_an_operator_that_cannot_be_expressed_is_refused(both):
    text = MetadataFilter(key="name", operator=FilterOperator.TEXT_MATCH, value="ori")
    refused(
        InputError,
        "'text_match' is not supported",
        answers,
        both[0],
        MetadataFilters(filters=[text]),
    )


def test_texts_are_found_by_their_words_and_mmr_finds_what_differs(store):
    by_words = VectorStoreQuery(query_str="up", similarity_top_k=1, mode="text_search")
    assert store.query(by_words).ids == ["u"]
    near = VectorStoreQuery(query_embedding=[1.0, 0.1, 0.0], similarity_top_k=2)
    assert store.query(near).ids == ["n", "all"]
    diverse = VectorStoreQuery(
        query_embedding=[1.0, 0.1, 0.0],
        similarity_top_k=2,
        mode=VectorStoreQueryMode.MMR,
        mmr_threshold=0.1,
    )
    assert store.query(diverse).ids == ["n", "e"]


def test_nodes_are_listed_deleted_and_cleared(store):
    assert [one.node_id for one in store.get_nodes(["u", "n"])] == ["n", "u"]
    store.delete_nodes(["u", "unknown"])
    store.delete("poles")
    assert [one.node_id for one in store.get_nodes()] == ["e", "all"]
    store.clear()
    assert store.query(VectorStoreQuery(query_embedding=[1, 0, 0])).ids == []


def test_a_node_that_comes_again_has_its_new_vector(store):
    store.add([node("u", "up", [1.0, 0.0, 0.0], "sides")])
    found = store.query(VectorStoreQuery(query_embedding=[1, 0, 0], similarity_top_k=2))
    assert found.ids == ["n", "u"]


def test_a_retriever_asks_an_index_of_a_collection(library):
    hits = library.search("a kitten", k=1)
    (found,) = CollectionRetriever(library, k=1).retrieve("a kitten")
    assert (found.node.node_id, found.text, found.score) == ("cat", hits[0].text, hits[0].score)
    faq = CollectionRetriever(library, where={"source": "faq"}).retrieve("April")
    assert [(one.node.node_id, one.metadata) for one in faq] == [("tax", {"source": "faq"})]


@pytest.mark.parametrize("vector", [[1.0, 0.0], [float("nan"), 0.0, 0.0]])
def test_a_vector_that_is_refused_replaces_nothing_and_later_nodes_are_found(collection, vector):
    store = CollectionVectorStore(collection)
    store.add([TextNode(id_="a", text="north", embedding=[1.0, 0.0, 0.0])])
    with pytest.raises(RetrieverError, match="nothing was written"):
        store.add([TextNode(id_="a", text="other", embedding=vector)])
    with pytest.raises(RetrieverError, match="'b' is given twice; nothing was written"):
        store.add([TextNode(id_="b", text="x", embedding=[1.0, 0.0, 0.0])] * 2)
    store.add([TextNode(id_="c", text="east", embedding=[0.0, 1.0, 0.0])])
    found = store.query(VectorStoreQuery([1.0, 0.1, 0.0], similarity_top_k=2))
    assert [node.text for node in found.nodes] == ["north", "east"]


def test_nodes_join_a_collection_whose_documents_have_no_vectors(library):
    before = len(library)
    store = CollectionVectorStore(library)
    store.add([TextNode(id_="a", text="north", embedding=[1.0, 0.0])])
    assert store.query(VectorStoreQuery([1.0, 0.0])).ids == ["a"]
    assert len(library) == before + 1


def test_an_empty_store_finds_no_words_and_a_mode_may_be_its_name(collection):
    store = CollectionVectorStore(collection, text_index="bm25")
    asked = VectorStoreQuery(query_str="north", mode=VectorStoreQueryMode.TEXT_SEARCH)
    assert store.query(asked).ids == []
    assert store.query(VectorStoreQuery(query_str="north", mode="text_search")).ids == []
    for mode in ("sparse", VectorStoreQueryMode.SPARSE, "bogus"):
        with pytest.raises(InputError, match=f"The mode '{getattr(mode, 'value', mode)}' is not"):
            store.query(VectorStoreQuery(query_str="north", mode=mode))
