"""Documents over HTTP: read, and where allowed, written."""

import pytest

from retriever import Collection
from retriever.service.settings import Limits
from tests.retriever.service.test_search import detail, found, search
from tests.support.fresh import lock_holder
from tests.support.services.clients import TOKEN, asked, eventually

DOG = {"doc_id": "dog", "text": "A dog barks.", "metadata": {"year": 1999}}


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [one["doc_id"] for one in answer.json()["documents"]]


def test_documents_are_read_by_ids_or_by_a_filter(client):
    assert ids(client.get("/documents?id=tax&id=cat")) == ["tax", "cat"]
    assert ids(client.get("/documents", params={"where": "year >= 2021"})) == ["car"]
    assert ids(client.get("/documents?limit=2")) == ["cat", "car"]
    assert detail(client.get("/documents?id=dog"), 404) == (
        "No document 'dog' in docs/. It has: car, cat, tax."
    )


def test_pages_follow_each_other(client):
    found, last = [], ""
    while page := ids(client.get("/documents?limit=2" + (last and f"&after={last}"))):
        found, last = found + page, page[-1]
    assert found == ["cat", "car", "tax"]
    only = {"where": "year >= 2000", "after": "cat"}
    assert ids(client.get("/documents", params=only)) == ["car"]
    assert detail(client.get("/documents?after=dog"), 404) == (
        "No document 'dog' in docs/. It has: car, cat, tax."
    )
    assert detail(client.get("/documents?id=cat&after=car"), 422) == (
        "Give either 'id' or 'where' and 'after'."
    )
    assert detail(client.get("/documents?limit=300"), 422) == (
        "limit is 300; this service returns at most 256 at once. Ask for the next ones with "
        "after=ID, the id of the last document."
    )


def test_a_parameter_that_an_address_does_not_have_is_refused(client):
    assert detail(client.get("/documents?offset=2"), 422) == (
        "There is no parameter 'offset' here; there are: library, id, where, after, limit."
    )
    for address in ("/search", "/search/batch"):
        says = detail(client.post(f"{address}?k=3", json={"query": "x", "queries": ["x"]}), 422)
        assert "There is no parameter 'k' here; there are: library." in says
    for address in ("/libraries", "/v1/models"):
        assert client.get(f"{address}?library=docs").status_code == 200
        says = detail(client.get(f"{address}?limit=3"), 422)
        assert says == "There is no parameter 'limit' here; there are: library."
    # What watches a service may add some.
    assert client.get("/health?at=1").status_code == 200


def test_a_service_that_only_reads_refuses_to_write(client):
    says = "This service only reads; documents can be changed with --write."
    assert detail(client.post("/documents", json={"documents": [DOG]}), 403) == says
    assert detail(client.delete("/documents?id=cat"), 403) == says
    assert detail(client.post("/indexes/update"), 403) == says


def test_an_added_document_is_found_once_the_indexes_are_brought_up_to_date(writer):
    added = writer.post("/documents", json={"documents": [DOG]}).json()
    assert (added["new"], added["documents"]) == (1, 4)
    assert found(search(writer, query="barks", indexes=["words"])) == {"words": []}
    started = writer.post("/indexes/update")
    assert started.status_code == 202
    eventually(lambda: writer.get("/indexes").json()["update"].get("ok"))
    assert found(search(writer, query="barks", indexes=["words"])) == {"words": ["dog"]}


def test_adding_can_bring_the_indexes_up_to_date_itself(writer):
    writer.post("/documents", json={"documents": [DOG], "update": True})
    eventually(lambda: found(search(writer, query="barks", indexes=["words"]))["words"] == ["dog"])


def test_documents_are_deleted_by_ids_or_by_a_filter(writer):
    assert writer.delete("/documents?id=cat").json()["deleted"] == 1
    assert writer.delete("/documents", params={"where": "year = 2021"}).json()["documents"] == 1
    detail(writer.delete("/documents"), 422)
    detail(writer.delete("/documents?id=cat"), 404)


def test_an_id_twice_in_a_request_is_refused_in_our_words(writer):
    assert detail(writer.post("/documents", json={"documents": [DOG, DOG]}), 422) == (
        "Documents 1 and 2 have the same id, 'dog'. Give one of them. Nothing was added."
    )
    assert detail(writer.post("/documents", json={"documents": []}), 422) == (
        "'documents' is empty; give at least one."
    )
    assert len(ids(writer.get("/documents"))) == 3


def test_what_another_process_writes_is_followed(client, docs, folder):
    with asked(folder) as reader:
        assert found(search(reader, query="kitten", indexes=["words"])) == {"words": ["cat"]}
        with Collection.open(folder) as other:
            other.add([{"_id": "kit", "text": "kitten kitten"}])
            other.delete(["cat"])
            other.build("words")
        assert found(search(reader, query="kitten", indexes=["words"])) == {"words": ["kit"]}


def test_while_another_process_writes_a_write_is_refused_with_the_time_to_try_again(folder):
    limits = Limits(lock_seconds=0.05)
    with asked(folder, token=TOKEN, write=True, limits=limits) as writer, lock_holder(folder):
        answer = writer.post("/documents", json={"documents": [DOG]})
        assert "notes/ is being written to by process" in detail(answer, 503)
        assert answer.headers["retry-after"] == "1"
        assert ids(writer.get("/documents?id=cat")) == ["cat"]
    with Collection.open(folder) as collection:
        assert "dog" not in collection


def test_while_this_service_writes_another_write_is_refused(folder):
    with asked(folder, token=TOKEN, write=True, limits=Limits(lock_seconds=0.05)) as writer:
        with writer.state.writing.turn("notes"):
            answer = writer.post("/documents", json={"documents": [DOG]})
        assert "notes/ is being written to by another request" in detail(answer, 503)
        assert answer.headers["retry-after"] == "1"


def test_an_update_waits_for_another_process_that_writes(folder):
    limits = Limits(lock_seconds=0.01)
    with asked(folder, token=TOKEN, write=True, limits=limits) as writer:
        writer.post("/documents", json={"documents": [DOG]})
        with lock_holder(folder):
            writer.post("/indexes/update")
            eventually(
                lambda: "process" in writer.get("/indexes").json()["update"].get("error", "")
            )
        eventually(lambda: writer.get("/indexes").json()["update"].get("ok"))


@pytest.mark.parametrize("metadata", [{"a": [1, {"b": None}]}, {"é": "ü\u2028"}, {"n": 10**30}])
def test_metadata_comes_back_as_it_was_given(writer, metadata):
    body = {"documents": [{**DOG, "metadata": metadata}]}
    assert writer.post("/documents", json=body).status_code == 200
    (read,) = writer.get("/documents?id=dog").json()["documents"]
    assert read["metadata"] == metadata
