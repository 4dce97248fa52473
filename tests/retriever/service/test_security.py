"""Who is answered, what is never opened, and texts that stay texts."""

import json
import logging
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import InputError
from retriever import Collection
from retriever.embedders.base import fingerprint_of, unit
from retriever.service.settings import ServiceSettings, read_token
from tests.retriever.service.test_search import detail, found, search
from tests.support.laws import examples
from tests.support.services.clients import (
    TOKEN,
    app_of,
    asked,
    eventually,
    listening,
    make_library,
    raw,
)

EVERYTHING = [
    ("GET", "/documents", None),
    ("POST", "/search", {"query": "kitten"}),
    ("POST", "/search/batch", {"queries": ["kitten"]}),
    ("POST", "/compare", {"query": "kitten"}),
    ("POST", "/documents", {"documents": [{"doc_id": "new"}]}),
    ("DELETE", "/documents?id=cat", None),
    ("GET", "/indexes", None),
    ("POST", "/indexes/update", None),
    ("GET", "/libraries", None),
    ("POST", "/v1/embeddings", {"input": "kitten", "model": "floor"}),
    ("GET", "/v1/models", None),
    ("GET", "/metrics", None),
    ("GET", "/openapi.json", None),
    ("GET", "/nothing", None),
]


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """A client of a service with a token, which writes; it sends none by itself."""
    folder = make_library(tmp_path_factory.mktemp("secret") / "notes")
    with asked(
        folder, token=TOKEN, write=True, access_log=True, headers={"Authorization": ""}
    ) as c:
        yield c


# Who is answered.


def test_the_list_of_addresses_is_complete(secret):
    paths = secret.app.openapi()["paths"]
    assert {*paths, "/openapi.json"} - {"/health", "/ready"} == {
        path.partition("?")[0] for _, path, _ in EVERYTHING if path != "/nothing"
    }


@pytest.mark.parametrize(("method", "path", "body"), EVERYTHING)
def test_nothing_is_answered_without_the_token(secret, method, path, body):
    for header in ("", "Bearer", "Bearer x", f"Bearer {TOKEN}x", "Basic !", TOKEN):
        answer = secret.request(method, path, json=body, headers={"Authorization": header})
        assert "no valid token" in detail(answer, 401)
        assert "Bearer" in answer.headers["www-authenticate"]


def test_what_starts_services_needs_no_token_to_ask_whether_they_live(secret):
    assert secret.get("/health").status_code == 200
    assert secret.get("/ready").status_code in (200, 503)


def test_a_browser_may_send_the_token_as_a_password(secret):
    assert secret.get("/indexes", auth=("anyone", TOKEN)).status_code == 200
    assert secret.get("/indexes", auth=(TOKEN, "x")).status_code == 401


def test_a_token_is_compared_in_constant_time(docs, monkeypatch):
    import hmac

    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or a == b)
    with asked(docs, token=TOKEN) as client:
        client.get("/indexes", headers={"Authorization": "Bearer short"})
        assert client.get("/indexes").status_code == 200
    assert [len(a) == len(b) for a, b in compared] == [True, True]


def test_a_host_that_others_can_reach_needs_a_token_or_an_explicit_word(docs):
    for host in ("0.0.0.0", "::", "192.168.1.1", "example.org"):
        with pytest.raises(InputError, match="can be reached from other machines, and there is no"):
            ServiceSettings((docs,), host=host)
        assert ServiceSettings((docs,), host=host, token=TOKEN)
        assert ServiceSettings((docs,), host=host, any_host_without_token=True)
    for host in ("127.0.0.1", "::1", "localhost", "127.9.9.9"):
        assert ServiceSettings((docs,), host=host)


def test_writing_needs_a_token_even_on_this_machine(docs):
    with pytest.raises(
        InputError, match="--write lets clients change documents, and needs a token"
    ):
        ServiceSettings((docs,), write=True)


@pytest.mark.parametrize("token", ["", "short", "with a space in it", "ü" * 20, "line\nfeed" * 4])
def test_a_token_that_is_weak_or_cannot_be_a_header_is_refused(docs, token):
    with pytest.raises(InputError, match="expected at least 16 letters"):
        ServiceSettings((docs,), token=token)


def test_a_token_is_read_from_a_file_or_the_environment(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file, {"RETRIEVER_TOKEN": "other"}) == TOKEN
    assert read_token(None, {"RETRIEVER_TOKEN": TOKEN}) == TOKEN
    assert read_token(None, {}) is None
    file.write_text("\n")
    with pytest.raises(InputError, match="is empty; expected a token"):
        read_token(file, {})
    with pytest.raises(InputError, match="cannot be read from"):
        read_token(tmp_path / "none", {})


def test_the_token_is_in_no_log_metric_or_repr(secret, caplog):
    with caplog.at_level(logging.DEBUG):
        for method, path, body in EVERYTHING:
            for header in (f"Bearer {TOKEN}", f"Bearer {TOKEN}x", f"basic {TOKEN}"):
                secret.request(method, path, json=body, headers={"Authorization": header})
            secret.request(method, path, json=body, auth=("u", TOKEN))
        shown = secret.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).text
    assert "POST /search 200" in caplog.text
    own = [one for one in caplog.records if one.name.partition(".")[0] != "httpx"]
    assert TOKEN not in "".join(f"{one.getMessage()}{one.exc_text}" for one in own)
    assert TOKEN not in shown
    assert TOKEN not in repr(secret.state.settings)


def test_a_page_that_gives_its_own_name_our_address_is_refused(docs):
    with asked(docs) as client:
        for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
            answer = client.post("/search", json={"query": "x"}, headers={"Host": host})
            assert "another host" in detail(answer, 403)
        for host in ("localhost:8000", "127.0.0.1", "[::1]:9"):
            answer = client.post("/search", json={"query": "x"}, headers={"Host": host})
            assert answer.status_code == 200


def test_pages_of_other_origins_are_refused_unless_allowed(docs):
    evil, good = {"Origin": "http://evil.example"}, {"Origin": "http://good.example"}
    ask = {"Access-Control-Request-Method": "POST"}
    with asked(docs) as client:
        assert "another origin" in detail(client.post("/search", headers=evil), 403)
        assert "access-control-allow-origin" not in client.get("/health", headers=evil).headers
        own = client.post("/search", json={"query": "x"}, headers={"Origin": "http://127.0.0.1"})
        assert own.status_code == 200
    with asked(docs, cors_origins=("http://good.example",), token=TOKEN) as client:
        answer = client.post("/search", json={"query": "x"}, headers=good)
        assert answer.headers["access-control-allow-origin"] == "http://good.example"
        assert client.options("/search", headers={**good, **ask}).status_code == 200
        refused = client.options("/search", headers={**evil, **ask})
        assert "access-control-allow-origin" not in refused.headers
        detail(client.post("/search", json={"query": "x"}, headers=evil), 403)


def test_every_answer_has_the_headers_that_keep_browsers_from_guessing(client):
    for path in ("/health", "/nothing", "/indexes"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in headers


def test_a_text_of_a_client_becomes_no_header(docs):
    with listening(app_of(docs, cors_origins=("http://good.example",))) as (_, port):
        for path in (
            "/indexes?library=x%0d%0aInjected:%20yes",
            "/%0d%0aInjected:%20yes",
            "/documents?id=%0d%0aInjected:%20yes",
        ):
            lines = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            lines += "Origin: http://good.example%0d%0aInjected: yes\r\n\r\n"
            head, _, body = raw(port, lines.encode()).partition("\r\n\r\n")
            assert "injected" not in head.lower()
            assert json.loads(body)["status"] == 404


def test_a_log_line_is_one_line_whatever_the_path(docs, caplog):
    with caplog.at_level(logging.INFO, "retriever.service.access"):
        with asked(docs, access_log=True) as client:
            client.get("/x%0aINFO%20forged%1b[31m")
    (line,) = [one.getMessage() for one in caplog.records if one.name.endswith("access")]
    assert line.isprintable()


# What is never opened.

_WATCHING = []


def _audit(event, arguments):
    if _WATCHING:
        _WATCHING[-1](event, arguments)


@contextmanager
def watched():
    """Collect what is opened, connected to and unpickled inside the block, by any thread."""
    if not _audit.__dict__.get("added"):
        sys.addaudithook(_audit)
        _audit.__dict__["added"] = True
    seen = []
    wanted = {"open", "socket.connect", "socket.getaddrinfo", "pickle.find_class", "os.listdir"}
    wanted |= {"os.scandir", "subprocess.Popen", "os.system", "exec", "compile", "import"}

    def note(event, arguments):
        if event in wanted:
            seen.append((event, str(arguments)))

    _WATCHING.append(note)
    try:
        yield seen
    finally:
        _WATCHING.pop()


PLACES = [
    "/etc/passwd",
    "../../../../etc/passwd",
    "..\\..\\secret.txt",
    "file:///etc/passwd",
    "http://192.0.2.1/secret",
    "https://192.0.2.1/secret.png",
    "//192.0.2.1/share",
    "~/secret",
    "..",
    ".",
    "con",
    "secret\0.txt",
    "catalog.db",
]


def every_name(client, name):
    """Put a name everywhere where a client can put one; yield the answers."""
    yield client.post("/search", params={"library": name}, json={"query": "x"})
    yield client.post("/search", json={"query": "x", "indexes": [name]})
    yield client.post("/search", json={"like": [name]})
    yield client.post("/search", json={"query": "x", "fields": [name]})
    yield client.post("/search", json={"query": "x", "where": {name: 1}})
    yield client.post("/search/batch", json={"queries": {name: "x"}})
    yield client.post("/search/batch", json={"queries": ["x"], "indexes": [name]})
    yield client.post("/compare", json={"query": "x", "indexes": [name]})
    yield client.get("/documents", params={"id": name})
    yield client.get("/documents", params={"where": name})
    yield client.get("/indexes", params={"library": name})
    yield client.delete("/documents", params={"id": name})
    yield client.post("/indexes/update", params={"library": name})
    yield client.post("/v1/embeddings", json={"input": "x", "model": name})


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    """A client that may write, warm, of a collection that tests of names leave as it is."""
    parent = tmp_path_factory.mktemp("victim")
    (parent / "secret.txt").write_text("secret")
    with asked(make_library(parent / "notes"), token=TOKEN, write=True) as client:
        client.get("/documents?id=cat")
        for body in ({"query": "x"}, {"like": ["cat"]}):
            client.post("/search", json=body)
        client.post("/compare", json={"query": "x"})
        client.delete("/documents?id=nothing")
        yield client


@pytest.mark.parametrize("name", PLACES)
def test_a_name_that_is_a_path_opens_nothing(victim, name):
    with watched() as seen:
        statuses = [answer.status_code for answer in every_name(victim, name)]
    assert {*statuses} <= {200, 404, 422}
    bad = ("passwd", "secret", "192.0.2.1")
    opened = [one for one in seen if one[0] in ("open", "os.listdir", "os.scandir")]
    assert not [one for one in opened if any(part in one[1] for part in bad)]
    outside = ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system")
    assert not [one for one in seen if one[0] in outside]
    assert len(victim.get("/documents").json()["documents"]) == 3


class Pictures:
    """An embedder of texts and images, which must not take a text for the place of an image."""

    name, dim, modalities = "pictures", 2, ("text", "image")
    fingerprint = fingerprint_of(kind="pictures")

    def encode_documents(self, texts):
        assert all(type(text) is str for text in texts)
        return unit(np.array([[len(text), 1.0] for text in texts], np.float32))

    encode_queries = encode_documents

    def encode_images(self, images):
        raise AssertionError("no client has given an image")


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """A client that may write, of a collection with an index of texts and images."""
    folder = make_library(tmp_path_factory.mktemp("pictured") / "notes")
    with Collection.open(folder) as collection:
        collection.build("pictures", Pictures())
    with asked(folder, token=TOKEN, write=True) as client:
        client.state.collections["notes"].use("pictures", Pictures())
        client.post("/search", json={"query": "warm up", "indexes": ["pictures", "floor", "words"]})
        yield client


@pytest.mark.parametrize("text", PLACES)
def test_a_text_that_is_a_path_or_an_address_is_a_text_to_every_kind_of_index(pictured, text):
    document = {"doc_id": "d", "text": text, "title": text, "metadata": {"image": text}}
    indexes = ["pictures", "floor", "words", "fused"]
    with watched() as seen:
        answers = [
            pictured.post("/search", json={"query": text, "indexes": indexes}),
            pictured.post("/search/batch", json={"queries": [text], "indexes": indexes}),
            pictured.post("/v1/embeddings", json={"input": [text], "model": "pictures"}),
            pictured.post("/documents", json={"documents": [document], "update": True}),
            pictured.get("/documents?id=d"),
        ]
        eventually(lambda: not pictured.get("/indexes").json()["update"]["running"])
    assert [one.status_code for one in answers] == [200] * 5
    (read,) = answers[-1].json()["documents"]
    assert (read["text"], read["metadata"]) == (text, {"image": text})
    assert "image" not in read
    bad = ("passwd", "secret", "192.0.2.1")
    assert not [one for one in seen if one[0] == "open" and any(part in one[1] for part in bad)]
    assert not [one for one in seen if one[0].startswith("socket.")]


def test_nothing_of_a_request_is_unpickled(victim):
    import pickle

    code = pickle.dumps(print).decode("latin-1")
    with watched() as seen:
        for answer in every_name(victim, code):
            assert answer.status_code in (200, 404, 422)
        victim.post("/search", content=pickle.dumps(print))
        headers = {"Content-Type": "application/x-pickle"}
        detail(victim.post("/search", content=pickle.dumps(print), headers=headers), 422)
    assert not [one for one in seen if one[0] == "pickle.find_class"]


# Texts that stay texts.

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; DROP TABLE documents; --",
    "' OR 1=1 --",
    '" UNION SELECT * FROM state --',
    'text:kitten AND (title:[* TO *] OR NOT "',
    "kitten~2^5 +must -not *?",
    "year >= 2020) or (1 = 1",
    "$where: 1",
    "{{7*7}} ${7*7} #{7*7} %s %n {0}",
    "a\r\nb\tc\x1b[31m",
    "\u202e\u2066rtl\ufeff",
    "𝕊urrogate \U0001f600",
    "%00%2e%2e%2f",
    'a.b."c"',
    "x" * 5_000,
]
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_document_comes_back_as_it_was_and_changes_nothing_else(victim, text):
    document = {"doc_id": text, "text": text, "title": text, "metadata": {text: text}}
    answer = victim.post("/documents", json={"documents": [document]})
    assert answer.status_code == 200, answer.text
    (read,) = victim.get("/documents", params={"id": text}).json()["documents"]
    assert read == document
    assert victim.delete("/documents", params={"id": text}).json()["documents"] == 3


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_nothing_but_words_to_search_for(victim, text):
    answers = search(victim, query=f"kitten {text}", indexes=["words", "floor"], highlights=True)
    assert "cat" in found(answers)["words"]
    body = {"query": "x", "where": {"year": text}, "indexes": ["floor"]}
    assert found(victim.post("/search", json=body).json()["answers"]) == {"floor": []}
    answer = victim.post("/search", json={"query": text})
    assert answer.headers["content-type"] == "application/json"


@settings(max_examples=examples(30))
@given(TEXTS)
def test_no_name_makes_the_service_fail(victim, name):
    for answer in every_name(victim, name):
        assert answer.status_code in (200, 404, 422), answer.text


@pytest.mark.parametrize(
    "body",
    [
        b'{"query": "\\ud800"}',
        b'{"query": "x", "where": {"\\udfff": "\\ud800"}}',
        b'{"query": NaN}',
        b'{"vector": [NaN, Infinity, 1e999]}',
        b'{"query": "x", "k": 1e400}',
        b'{"query": "x", "k": ' + b"9" * 5_000 + b"}",
        b'{"query": "x", "mmr": -0.0}',
        b'{"query": "x", "query": 1}',
        b"\xff\xfe",
        b"null",
        b"",
        b'"x"',
        b"[" * 50_000,
        b'{"a":' * 50_000,
        b'{"query": "x", "where": ' + b'{"not": ' * 900 + b"1" + b"}" * 901,
        b'{"like": ["\\u0000"]}',
        b'{"query": "\\u0000"}',
    ],
)
def test_malformed_bodies_are_refused_and_never_a_failure(victim, body):
    headers = {"Content-Type": "application/json"}
    for path in ("/search", "/search/batch", "/compare", "/documents", "/v1/embeddings"):
        answer = victim.post(path, content=body, headers=headers)
        assert answer.status_code in (200, 400, 404, 422), answer.text


def test_metadata_that_is_nested_too_deeply_is_refused(victim):
    for depth in (50, 200, 400, 800, 980):
        metadata = "[" * depth + "]" * depth
        body = f'{{"documents": [{{"doc_id": "deep", "metadata": {{"a": {metadata}}}}}]}}'
        headers = {"Content-Type": "application/json"}
        answer = victim.post("/documents", content=body, headers=headers)
        assert answer.status_code in (200, 400, 422), answer.text
        read = victim.get("/documents?id=deep")
        assert read.status_code in (200, 404)
        victim.delete("/documents?id=deep")
