"""Searches over HTTP: the records are those of the command line."""

import json
import shutil

import pytest

from retriever import Collection
from retriever.service.routes.direct import JSON
from tests.support.commands import objects, succeed
from tests.support.services.clients import DOCUMENTS, asked, eventually, make_library


def search(client, **body):
    answer = client.post("/search", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["answers"]


def found(answers):
    return {one["index"]: [hit["doc_id"] for hit in one["hits"]] for one in answers}


def detail(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    return answer.json()["detail"]


@pytest.mark.parametrize("index", ["floor", "words", "fused"])
def test_the_hits_are_the_records_that_the_command_line_prints(client, docs, index):
    printed = objects(succeed("search", str(docs), "kitten engine", "-i", index, "--json"))
    ((answer),) = search(client, query="kitten engine", indexes=[index])
    assert answer["hits"] == printed


def test_without_indexes_the_newest_fusion_answers(client):
    assert list(found(search(client, query="kitten"))) == ["fused"]


def test_several_indexes_answer_side_by_side_in_the_order_given(client):
    answers = search(client, query="kitten", indexes=["words", "floor"], k=1)
    assert found(answers) == {"words": ["cat"], "floor": ["cat"]}


def test_a_filter_is_a_mapping_or_a_text(client):
    for where in ({"year": {">=": 2021}}, "year >= 2021"):
        assert found(search(client, query="kitten", indexes=["floor"], where=where)) == {
            "floor": ["car"]
        }


def test_fields_select_metadata_and_text_can_be_left_out(client):
    ((answer),) = search(client, query="kitten", k=1, fields=["by.n", "none"], text=False)
    assert answer["hits"][0]["metadata"] == {"by.n": "A"}
    assert "text" not in answer["hits"][0]


def test_highlights_are_the_spans_of_the_words_of_the_query(client):
    ((answer),) = search(client, query="kittens", k=1, indexes=["words"], highlights=True)
    hit = answer["hits"][0]
    assert [hit["text"][begin:end] for begin, end in hit["highlights"]["text"]] == ["kitten"]
    assert hit["highlights"]["sentence"] == hit["text"]


def test_notes_name_the_collection_and_not_its_folder(client, docs):
    ((answer),) = search(client, query="zzz", indexes=["words"])
    assert (answer["hits"], len(answer["notes"])) == ([], 1)
    said = detail(client.post("/search", json={"query": "x", "indexes": ["no"]}), 404)
    assert said == "No index 'no' in docs/. It has: floor, fused, words."


def test_documents_to_be_like_and_vectors_are_queries_too(client, docs):
    assert found(search(client, like=["cat"], indexes=["floor"], k=1))["floor"] != ["cat"]
    with Collection.open(docs) as collection:
        vector = collection.embedder("floor").encode_queries(["kitten purrs"])[0].tolist()
    answers = search(client, vector=vector, k=1)
    assert found(answers) == {"floor": ["cat"]}


def test_mmr_and_words_are_options_of_a_search(client):
    body = {"query": "kitten engine", "indexes": ["words"], "all_words": True}
    assert found(search(client, **body)) == {"words": []}
    diverse = search(client, query="kitten engine", indexes=["floor"], mmr=0.0, k=3)
    assert len(found(diverse)["floor"]) == 3


@pytest.mark.parametrize(
    "body",
    [{}, {"query": "x", "like": ["cat"]}, {"query": "x", "vector": [1.0]}, {"unlike": ["cat"]}],
)
def test_a_search_has_exactly_one_kind_of_query(client, body):
    detail(client.post("/search", json=body), 422)


def test_a_batch_answers_each_query_by_its_id(client):
    body = {"queries": {"a": "kitten", "b": "engine"}, "k": 1, "indexes": ["words", "floor"]}
    results = client.post("/search/batch", json=body).json()["results"]
    assert {one["query_id"]: found(one["answers"]) for one in results} == {
        "a": {"words": ["cat"], "floor": ["cat"]},
        "b": {"words": ["car"], "floor": ["car"]},
    }


def test_a_query_of_a_batch_is_named_by_its_id(client):
    body = {"queries": {"a": "kitten", "b": " "}, "indexes": ["words"]}
    says = "Query 'b' is empty. Give some text to search for."
    assert detail(client.post("/search/batch", json=body), 422) == says


def test_a_batch_without_ids_is_numbered_from_one(client):
    body = {"queries": ["kitten", "engine"], "indexes": ["words"]}
    results = client.post("/search/batch", json=body).json()["results"]
    assert [(one["query_id"], one["query"]) for one in results] == [
        ("1", "kitten"),
        ("2", "engine"),
    ]


def test_a_batch_of_vectors_searches_the_indexes_that_are_named(docs, tmp_path):
    shutil.copytree(docs, tmp_path / "two")
    with Collection.open(tmp_path / "two") as collection:
        collection.build("copy", vectors="floor")
        vector = collection.embedder("floor").encode_queries(["kitten"])[0].tolist()
    with asked(tmp_path / "two") as client:
        body = {"vectors": [vector], "indexes": ["copy"], "k": 1}
        (result,) = client.post("/search/batch", json=body).json()["results"]
        assert found(result["answers"]) == {"copy": ["cat"]}


def test_a_batch_may_give_the_default_of_what_it_does_not_ask_by(client):
    body = {"queries": ["kitten"], "vectors": [], "indexes": ["words"]}
    assert client.post("/search/batch", json=body).status_code == 200


@pytest.mark.parametrize(
    ("address", "body", "says"),
    [
        ("/search/batch", {"queries": []}, "'queries' is empty; give at least one."),
        ("/search/batch", {"vectors": []}, "'vectors' is empty; give at least one."),
        ("/search/batch", {}, "Give 'queries' or 'vectors', and not both."),
        ("/v1/embeddings", {"input": [], "model": "floor"}, "'input' is empty; give at least one"),
    ],
)
def test_what_is_empty_is_named(client, address, body, says):
    assert detail(client.post(address, json=body), 422).startswith(says)


def test_a_mistake_in_one_of_several_types_is_named_by_its_field(client):
    says = detail(client.post("/search/batch", json={"queries": [1]}), 422)
    assert says.startswith("'queries.0' is 1; expected a valid string.")
    assert "[" not in says


def test_a_comparison_says_who_found_what_and_how_much_they_agree(client):
    body = {"query": "kitten", "indexes": ["floor", "words"], "k": 2}
    compared = client.post("/compare", json=body).json()
    assert compared["found_by"][0] == {"indexes": ["floor", "words"], "doc_ids": ["cat"]}
    assert [one["indexes"] for one in compared["found_by"][1:]] == [["floor"]]
    assert compared["ranks"]["words"] == {"cat": 1}
    assert compared["agreement"][0]["overlap"] == 0.5
    assert compared["answers"][0]["seconds"]["total"] > 0


def test_the_indexes_are_those_that_info_prints(client, docs):
    (printed,) = objects(succeed("info", str(docs), "--json"))
    shown = client.get("/indexes").json()
    assert shown.pop("library") == shown.pop("path") == "docs"
    assert shown.pop("update") == {"running": False}
    del printed["path"]
    assert shown == json.loads(json.dumps(printed))


def test_of_several_collections_a_parameter_selects_one(docs, tmp_path):
    other = make_library(tmp_path / "other", DOCUMENTS[:1])
    with asked(docs, other) as client:
        listed = client.get("/libraries").json()["libraries"]
        assert [(one["name"], one["documents"]) for one in listed] == [("docs", 3), ("other", 1)]
        body = {"query": "kitten", "indexes": ["floor"]}
        answer = client.post("/search?library=other", json=body).json()
        assert (answer["library"], found(answer["answers"])) == ("other", {"floor": ["cat"]})
        assert detail(client.post("/search", json=body), 422) == (
            "Say which collection by ?library=NAME. There are: docs, other."
        )
        assert detail(client.post("/search?library=othr", json=body), 404) == (
            "No collection 'othr' in this service. It has: docs, other. Did you mean 'other'?"
        )
        texts = {"input": "hello", "model": "other/floor"}
        assert client.post("/v1/embeddings", json=texts).status_code == 200
        assert [one["id"] for one in client.get("/v1/models").json()["data"]] == [
            "docs/floor",
            "other/floor",
        ]
        # With the name of a collection, its models are listed by the names that they have there.
        listed = client.get("/v1/models?library=other").json()["data"]
        assert [one["id"] for one in listed] == ["floor"]
        detail(client.get("/v1/models?library=nope"), 404)
        texts = {"input": "hello", "model": "other/floor"}
        detail(client.post("/v1/embeddings?library=nope", json=texts), 404)
        for model, status in (("floor", 200), ("other/floor", 200), ("docs/floor", 422)):
            texts = {"input": "hello", "model": model}
            assert client.post("/v1/embeddings?library=other", json=texts).status_code == status


def test_embeddings_have_the_shape_of_openai_and_the_vectors_of_the_index(client, docs):
    with Collection.open(docs) as collection:
        vectors = collection.embedder("floor").encode_documents(["hello", "you"])
    body = {"input": ["hello", "you"], "model": "floor"}
    answer = client.post("/v1/embeddings", json=body).json()
    assert [one["embedding"] for one in answer["data"]] == vectors.tolist()
    assert [one["index"] for one in answer["data"]] == [0, 1]
    assert answer["object"] == "list"
    assert answer["usage"] == {"prompt_tokens": 2, "total_tokens": 2}


def test_embeddings_as_base64_are_the_same_numbers(client):
    import base64

    import numpy as np

    body = {"input": "hello", "model": "floor"}
    (plain,) = client.post("/v1/embeddings", json=body).json()["data"]
    body |= {"encoding_format": "base64"}
    (coded,) = client.post("/v1/embeddings", json=body).json()["data"]
    decoded = np.frombuffer(base64.b64decode(coded["embedding"]), "<f4")
    assert decoded.tolist() == plain["embedding"]


def test_an_index_of_words_embeds_nothing(client):
    body = {"input": "hello", "model": "words"}
    assert detail(client.post("/v1/embeddings", json=body), 422) == (
        "Index 'words' has no model of its own that embeds texts."
    )


def test_health_ready_and_metrics_answer(client):
    assert client.get("/health").json() == {"status": "ok"}
    assert client.head("/health").status_code == 200
    assert eventually(lambda: client.get("/ready").status_code == 200)
    assert client.head("/ready").status_code == 200
    search(client, query="kitten", indexes=["words"])
    shown = client.get("/metrics").text
    assert 'retriever_searches_total{index="words",library="docs"}' in shown
    assert 'retriever_requests_total{method="POST",route="/search",status="200"}' in shown


def test_a_service_whose_folder_was_replaced_is_not_ready(folder, caplog):
    with asked(folder) as client:
        assert eventually(lambda: client.get("/ready").status_code == 200)
        copy = folder.with_name("copy")
        shutil.copytree(folder, copy)
        folder.rename(folder.with_name("old"))
        copy.rename(folder)
        for _ in range(2):
            assert detail(client.get("/ready"), 503) == (
                "notes/ was moved, removed or replaced after it was opened. Open it again, where "
                "it is now; a service that has it must be restarted."
            )
    logged = [one for one in caplog.records if "must be restarted" in one.getMessage()]
    assert len(logged) == 1


def test_unknown_addresses_methods_and_bodies_are_problems(client):
    detail(client.get("/nothing"), 404)
    detail(client.put("/search"), 405)
    assert detail(client.post("/search", json={"query": "x", "kk": 1}), 422) == (
        "There is no field 'kk'."
    )
    assert detail(client.post("/compare", json={}), 422) == "'query' is missing."
    assert detail(client.post("/search", json={"query": "x", "k": 0}), 422) == (
        "'k' is 0; expected greater than or equal to 1."
    )
    assert detail(client.post("/search", json={"query": "x", "k": True}), 422) == (
        "'k' is true; expected a whole number."
    )
    assert detail(client.get("/documents?limit=abc"), 422) == (
        "'limit' is 'abc'; expected a whole number."
    )
    broken = client.post("/search", content=b'{"query" "x"}', headers={"Content-Type": JSON})
    assert detail(broken, 422) == ("The body is not JSON: Expecting ':' delimiter at character 9.")
    says = detail(client.post("/search", content=b"{}"), 422)
    assert says.startswith("The body is not a JSON object")
