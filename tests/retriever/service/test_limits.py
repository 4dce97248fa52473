"""Limits: what is too much is refused at once, with a sentence."""

import json
import socket
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from retriever import Collection
from retriever.search.retriever import Retriever
from retriever.service.settings import Limits
from tests.retriever.service.test_search import detail
from tests.support.services.clients import SECONDS, app_of, asked, eventually, listening, raw

SMALL = Limits(body=2_000, batch=2, k=10, text=50, seconds=5, threads=1, queue=2)


@pytest.fixture(scope="module")
def small(docs):
    with asked(docs, limits=SMALL) as client:
        yield client


@pytest.mark.parametrize(
    ("address", "body", "says"),
    [
        ("/search", {"query": "x", "k": 11}, "k is 11; this service returns at most 10 hits."),
        ("/search", {"query": "x" * 51}, "at most 50"),
        ("/search", {"like": ["a", "b", "c"]}, "'like' has 3 items"),
        ("/search", {"query": "x", "indexes": ["a", "b", "c"]}, "'indexes' has 3 items"),
        ("/search/batch", {"queries": ["a", "b", "c"]}, "'queries' has 3 items"),
        ("/search/batch", {"vectors": [[1.0]] * 3}, "'vectors' has 3 items"),
        ("/compare", {"query": "x", "k": 10**9}, "k is 1,000,000,000"),
        ("/v1/embeddings", {"input": ["a", "b", "c"], "model": "floor"}, "'input' has 3 items"),
    ],
)
def test_a_request_for_too_much_is_refused(small, address, body, says):
    assert says in detail(small.post(address, json=body), 422)


def test_a_body_that_is_too_long_is_refused_by_its_announced_length(small):
    answer = small.post("/search", json={"query": "x" * 3_000})
    assert detail(answer, 413) == (
        "The body has more than 2,000 bytes. Send it in several requests."
    )


def test_a_body_that_does_not_announce_its_length_is_read_up_to_the_limit(small):
    taken = []

    def parts():
        for number in range(1_000):
            taken.append(number)
            yield b" " * 1_000

    detail(small.post("/search", content=parts()), 413)


def test_a_client_that_writes_a_long_body_before_it_reads_sees_why_it_is_refused(docs):
    # As urllib does: unless the rest of the body is read, the connection is reset under it.
    with listening(app_of(docs, limits=Limits(body=1_000_000))) as (_, port):
        url, headers = f"http://127.0.0.1:{port}/search", {"Content-Type": "application/json"}
        request = urllib.request.Request(url, b" " * 10_000_000, headers)
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, timeout=SECONDS)
        with refusal.value as answer:
            assert answer.status == 413
            assert "more than 1,000,000 bytes" in json.load(answer)["detail"]


def test_no_more_bodies_are_held_than_there_is_room_for(docs, monkeypatch):
    monkeypatch.setattr("retriever.service.security.BODIES", 1.5)
    with listening(app_of(docs, limits=Limits(body=1_000, body_seconds=SECONDS))) as (_, port):
        head = "POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port)) as first:
            first.sendall(head.encode() + b"x" * 999)

            def second():
                return raw(port, head.encode() + b"x" * 999 + b"x")

            assert eventually(lambda: second().startswith("HTTP/1.1 429 "))
        # The first has left, and its room is free.
        whole = head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode() + b"x" * 1_000
        assert eventually(lambda: raw(port, whole).startswith("HTTP/1.1 422 "))


def test_a_body_that_comes_too_slowly_is_refused(docs):
    with listening(app_of(docs, limits=Limits(body_seconds=0.05))) as (_, port):
        head = "POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"
        received = raw(port, head.encode())
    assert received.startswith("HTTP/1.1 408 ")
    assert "The body did not arrive within 0.05 s." in received


@pytest.fixture
def gate(monkeypatch):
    """An event without which searches wait; it is set at first, so that models are loaded."""
    opened, answer = threading.Event(), Retriever.answer
    opened.set()

    def slow(*arguments, **options):
        assert opened.wait(30)
        return answer(*arguments, **options)

    monkeypatch.setattr(Retriever, "answer", slow)
    yield opened
    opened.set()


def close(gate, state):
    eventually(lambda: state.is_ready)
    gate.clear()


BODY = {"query": "kitten", "indexes": ["words"]}


def test_an_answer_that_takes_too_long_is_a_503_and_the_next_one_is_answered(docs, gate):
    with asked(docs, limits=Limits(seconds=0.05)) as client:
        close(gate, client.state)
        answer = client.post("/search", json=BODY)
        assert detail(answer, 503).startswith("The answer takes longer than 0.05 s.")
        assert answer.headers["retry-after"] == "1"
        gate.set()
        assert eventually(lambda: client.post("/search", json=BODY).status_code == 200)


def test_more_requests_than_may_wait_are_refused_and_the_others_are_answered(docs, gate):
    with asked(docs, limits=SMALL) as client, ThreadPoolExecutor(4) as pool:
        close(gate, client.state)
        body = {"queries": ["kitten"], "indexes": ["words"]}
        waiting = [pool.submit(client.post, "/search/batch", json=body) for _ in range(3)]
        eventually(lambda: client.state._inside == 3)
        refused = client.post("/search", json=BODY)
        assert detail(refused, 429).startswith("3 requests are being answered or wait already.")
        assert refused.headers["retry-after"] == "1"
        assert client.get("/health").status_code == 200
        assert "retriever_refused_total 1.0" in client.get("/metrics").text
        gate.set()
        assert [one.result().status_code for one in waiting] == [200] * 3
        assert client.post("/search", json=BODY).status_code == 200


def test_a_thread_that_nobody_waits_for_still_counts_until_it_ends(docs, gate):
    limits = Limits(seconds=0.05, threads=1, queue=1)
    with asked(docs, limits=limits) as client:
        close(gate, client.state)
        body = {"queries": ["kitten"], "indexes": ["words"]}
        assert client.post("/search/batch", json=body).status_code == 503
        assert client.state._inside == 1
        gate.set()
        eventually(lambda: client.state._inside == 0)


def test_a_request_in_flight_is_answered_when_the_service_stops(docs, gate):
    app = app_of(docs)
    with ThreadPoolExecutor(1) as pool, listening(app) as (server, port):
        close(gate, app.state.service)
        body = json.dumps(BODY).encode()
        head = f"POST /search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n"
        sent = f"{head}Content-Type: application/json\r\n\r\n".encode() + body
        asked_for = pool.submit(raw, port, sent)
        eventually(lambda: server.server_state.tasks)
        server.should_exit = True
        eventually(lambda: not server.servers[0].is_serving())
        gate.set()
        assert asked_for.result().startswith("HTTP/1.1 200 ")


def test_queries_at_once_are_answered_as_alone_and_one_that_is_refused_hinders_no_other(docs):
    with asked(docs) as client, ThreadPoolExecutor(8) as pool:
        texts = ["kitten", "engine", "deadline", "april", "soft", "content", "", "rumble"]
        bodies = [{**BODY, "query": text} for text in texts]
        at_once = [pool.submit(client.post, "/search", json=body) for body in bodies]
        answers = [one.result() for one in at_once]
        alone = [client.post("/search", json=body) for body in bodies]
        assert [one.content for one in answers] == [one.content for one in alone]
        assert [one.status_code for one in answers] == [200] * 6 + [422, 200]


def test_without_k_no_more_hits_are_returned_than_the_service_allows(docs):
    with asked(docs, limits=Limits(k=2)) as client:
        body = {"query": "kitten", "indexes": ["floor"]}
        ((answer),) = client.post("/search", json=body).json()["answers"]
        assert len(answer["hits"]) == 2


def test_a_collection_that_cannot_be_opened_ends_the_start(tmp_path):
    from indexes.errors import NotACollectionError

    with pytest.raises(NotACollectionError):
        with asked(tmp_path / "none"):
            pass
    assert not (tmp_path / "none").exists()
    Collection.create(tmp_path / "empty").close()
    with asked(tmp_path / "empty") as client:
        eventually(lambda: client.get("/ready").status_code == 200)
        says = detail(client.post("/search", json={"query": "x"}), 422)
        assert "empty/ has no index yet" in says


@pytest.mark.parametrize(("error", "status"), [(RecursionError, 422), (MemoryError, 503)])
def test_a_request_that_python_cannot_bear_is_a_problem(docs, monkeypatch, error, status):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(Collection, "documents", fails)
    with asked(docs) as client:
        detail(client.get("/documents"), status)


def test_a_failure_is_a_problem_that_tells_nothing_and_a_line_in_the_log(docs, monkeypatch, caplog):
    def fails(*_, **__):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(Collection, "documents", fails)
    with asked(docs) as client:
        with pytest.raises(ZeroDivisionError):
            client.get("/documents")
    with listening(app_of(docs)) as (_, port):
        received = raw(
            port, b"GET /documents HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
    assert received.startswith("HTTP/1.1 500 ")
    assert "The service has failed; its log says why." in received
    assert "secret" not in received
    assert "/documents failed" in caplog.text
