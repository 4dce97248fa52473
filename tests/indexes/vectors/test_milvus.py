"""Indexes on a real Milvus: built, searched, brought up to date, and whatever goes wrong."""

import logging
import signal
from itertools import count
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from indexes.errors import DamageError, EngineError, InputError, MismatchError
from indexes.neighbors import DOT
from indexes.search import prefilter, vector_searcher
from indexes.vectors.engines import engine_of, remote_definition
from indexes.vectors.milvus_engine import server as milvus
from indexes.vectors.milvus_engine.expressions import expression
from indexes.vectors.remote import engine as remote
from indexes.vectors.remote.conditions import condition_of
from indexes.vectors.remote.index import MARKS, METADATA
from indexes.vectors.remote.server import Shape, Structure
from retriever import Collection, Document, Words, compare
from tests.support.commands import succeed
from tests.support.engine_contract import check_engine
from tests.support.laws import examples
from tests.support.milvus import server as milvus_server
from tests.support.sources.odd_metadata import catalog_matches, fitting, rows_of
from tests.support.workers import Gaussian

pytest.importorskip("pymilvus", reason="needs the extra 'milvus'")
pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(bool(milvus_server.why_not()), reason=milvus_server.why_not() or "-"),
]
WORDS = [f"w{n}" for n in range(300)]
QUERIES = ["w1 w2 w3", "w77 w210 w5", "w9"]


@pytest.fixture(scope="module")
def server():
    with milvus_server.running() as started:
        yield started


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv(milvus.TOKEN, milvus_server.TOKEN)


@pytest.fixture
def client(server):
    from pymilvus import MilvusClient

    made = MilvusClient(server.uri, token=milvus_server.TOKEN)
    for name in made.list_collections():
        made.drop_collection(name)
    yield made
    made.close()


def documents(start, stop):
    return [
        Document(
            f"d{n}",
            " ".join(np.random.default_rng(n).choice(WORDS, 12)),
            metadata={"half": "even" if n % 2 == 0 else "odd", "n": n},
        )
        for n in range(start, stop)
    ]


@pytest.fixture
def library(tmp_path, server, client):
    with Collection.create(tmp_path / "library") as collection:
        collection.add(documents(0, 300))
        collection.build("flat", Gaussian(), ann="exact")
        options = {"index_type": "FLAT"}
        engine = f"milvus:{server.uri}"
        collection.build("remote", vectors="flat", engine=engine, options=options)
        yield collection


def answers(collection, index, **options):
    return [
        [(hit.doc_id, hit.score) for hit in hits]
        for hits in collection.search_many(QUERIES, index=index, k=20, **options)
    ]


def name_of(client):
    (name,) = client.list_collections()
    return name


def same(collection):
    for where in (None, {"half": "odd"}, "n < 280", "n < 20"):
        assert answers(collection, "remote", where=where) == answers(
            collection, "flat", where=where
        )


def test_milvus_is_an_index_engine(server, client, tmp_path):
    definition = remote_definition(f"milvus:{server.uri}", {"M": "8", "ef": 200})
    assert definition["factory"] == "milvus:HNSW,M=8"
    assert definition["search"] == {"ef": 200}
    check_engine(engine_of(definition), definition, tmp_path, pushes=True)


def test_an_index_on_milvus_answers_like_exact_search_and_follows_every_change(library, client):
    same(library)
    assert library.verify().ok
    info = library.index_info("remote")
    assert (info.factory, info.rows, info.missing) == ("milvus:FLAT", 300, 0)
    first = name_of(client)
    library.delete(["d1", "d2"])
    library.add([Document("d3", "w1 w2 w3"), *documents(300, 320)])
    library.build("flat")
    same(library)  # before the server has seen any of it
    library.build("remote")
    same(library)
    assert name_of(client) == first
    assert client.query(first, output_fields=["count(*)"])[0]["count(*)"] == 318
    assert library.index_info("remote").tail == 0
    library.rename("remote", "other")
    library.rename("other", "remote")
    library.compact()
    same(library)
    assert library.verify().ok
    library.drop("remote")
    assert client.list_collections() == []
    assert library.verify().leftovers == ()


THERE, BY_KEYS = "evaluated the filter", "keys that pass the filter"


def way(caplog, collection, where):
    """Which way a filter took, of a search that answers like exact search.

    Few keys, as a small collection has, are asked for as many are.
    """
    with (
        caplog.at_level(logging.DEBUG, "retriever.search"),
        mock.patch.object(prefilter, "_is_few", lambda rows, *_: rows == 0),
    ):
        expected = answers(collection, "flat", where=where)
        caplog.clear()
        assert answers(collection, "remote", where=where) == expected
    said = [one.getMessage() for one in caplog.records]
    return {what for what in (THERE, BY_KEYS) if any(what in one for one in said)}


def test_milvus_evaluates_filters_and_follows_changes_of_metadata_alone(library, client, caplog):
    wheres = ({"half": "odd"}, "n < 280 and not half = even", "n >= 100 or half exists")
    assert [way(caplog, library, where) for where in wheres] == [{THERE}] * 3
    # Without one hit, and with fewer than are asked for: the catalog says how many there are.
    assert answers(library, "remote", where="n = 3") == answers(library, "flat", where="n = 3")
    assert answers(library, "remote", where="n = '3'") == [[]] * 3
    assert "evaluated by its server" in succeed("info", str(library.path))
    first, before = name_of(client), client.describe_collection(name_of(client))["properties"]
    changed = [Document(one.doc_id, one.text, metadata={"half": "odd"}) for one in documents(0, 9)]
    library.add(changed)
    # The server has not seen it: nothing is asked of its metadata.
    assert [way(caplog, library, where) for where in wheres[:2]] == [{BY_KEYS}] * 2
    assert "sent as keys until it is built again" in succeed("info", str(library.path))
    assert library.build("remote").embedded == 0
    assert name_of(client) == first
    after = client.describe_collection(first)["properties"]
    assert after[METADATA] not in ("", before[METADATA])
    assert [way(caplog, library, where) for where in wheres] == [{THERE}] * 3
    assert library.verify().ok
    # Documents that come and go leave the others' metadata: their name stays.
    library.delete(["d7"])
    library.add(documents(300, 310))
    library.build("flat")
    library.build("remote")
    assert client.describe_collection(first)["properties"][METADATA] == after[METADATA]
    assert [way(caplog, library, where) for where in wheres] == [{THERE}] * 3
    # What a row cannot hold exactly is left to the catalog.
    library.add([Document("d8", documents(8, 9)[0].text, metadata={"half": "odd", "n": 2**60})])
    library.build("remote")
    assert way(caplog, library, "n >= 100") == {BY_KEYS}
    assert way(caplog, library, "half = odd") == {THERE}
    assert "evaluated by its server, not on: n" in succeed("info", str(library.path))


def test_a_filter_that_leaves_few_is_searched_here_when_it_is_used_again(
    library, caplog, monkeypatch
):
    monkeypatch.setattr(vector_searcher, "FOUND_HERE", 0)
    caplog.set_level(logging.DEBUG, "retriever.search")
    for is_new in (True, False, False):
        caplog.clear()
        found = answers(library, "remote", where="n < 40")
        assert any(THERE in one.getMessage() for one in caplog.records) == is_new
    assert found == answers(library, "flat", where="n < 40")


def test_metadata_that_change_during_a_search_are_noticed(library, client, caplog, monkeypatch):
    name, search = name_of(client), milvus.MilvusServer.search
    kept = client.describe_collection(name)["properties"][METADATA]

    def meanwhile(*arguments):
        found = search(*arguments)
        client.alter_collection_properties(name, {METADATA: ""})
        return found

    with monkeypatch.context() as patched:
        patched.setattr(milvus.MilvusServer, "search", meanwhile)
        assert way(caplog, library, "half = odd") == {BY_KEYS}
    assert way(caplog, library, "half = even") == {BY_KEYS}
    assert "others have changed its metadata" in str(library.verify().problems[0])
    client.alter_collection_properties(name, {METADATA: kept})
    assert way(caplog, library, "half = odd") == {THERE}


def test_a_build_that_was_killed_while_it_changed_metadata_is_done_again(
    library, client, caplog, monkeypatch
):
    def die(*_):
        raise KeyboardInterrupt

    first = name_of(client)
    library.add([Document("d0", documents(0, 1)[0].text, metadata={"half": "neither"})])
    with monkeypatch.context() as patched:
        patched.setattr(milvus.MilvusServer, "settle", die)
        with pytest.raises(KeyboardInterrupt):
            library.build("remote")
    # The metadata as they were are back, which the server has in part.
    library.add(documents(0, 1))
    library.delete(["d5"])
    assert way(caplog, library, "half = even") == {BY_KEYS}
    library.build("remote")
    assert name_of(client) == first
    assert way(caplog, library, "half = even") == {THERE}
    assert library.verify().ok


def test_metadata_that_others_changed_are_found_by_verify(library, client, caplog):
    name = name_of(client)
    rows = client.query(name, filter="key < 290", output_fields=["key", "vector", "fields"])
    client.upsert(name, [{**row, "fields": {"t.half": "odd"}} for row in rows])
    (problem,) = library.verify().problems
    assert "other metadata than the documents here" in str(problem)
    assert library.repair().ok
    assert way(caplog, library, "half = even and n >= 20") == {THERE}


def test_filters_on_passages_and_on_documents_that_answer_by_an_earlier_text(
    tmp_path, server, client, caplog
):
    with Collection.create(tmp_path / "library", split=Words(4)) as collection:
        collection.add(documents(0, 60))
        collection.build("flat", Gaussian(), ann="exact")
        engine = {"engine": f"milvus:{server.uri}", "options": {"index_type": "FLAT"}}
        collection.build("remote", vectors="flat", **engine)
        assert way(caplog, collection, "half = odd") == {THERE}
        edited = [
            Document(one.doc_id, "w1 w2 w3 w4 w5", metadata={"half": "new"})
            for one in documents(0, 5)
        ]
        collection.add(edited)
        # Their passages of the earlier text answer, by the present metadata.
        for where in ("half = new", "half != new", "half = odd"):
            way(caplog, collection, where)
        collection.build("remote")
        collection.build("flat")
        assert way(caplog, collection, "half != new") == {THERE}


def test_filters_match_on_milvus_what_they_match_in_the_catalog(server, client):
    """For rows that were just written, and again for the same rows in a file of the server's."""
    ours, name, shape = milvus.MilvusServer(server.uri), "law", Shape(2, DOT, Structure("FLAT"))
    ours.create(name, shape, {})
    ours.settle(name, shape)
    numbers, tried = count(1), []

    def found(first, stop, text):
        wanted = f"key >= {first} and key < {stop} and {text}"
        rows = client.query(name, filter=wanted, output_fields=["key"])
        return sorted(row["key"] - first for row in rows)

    @given(case=fitting())
    @settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
    def law(case):
        documents, wheres = case
        rows, known = rows_of(documents)
        keys = np.array([next(numbers) for _ in rows])
        ours.upsert(name, keys, np.ones((len(rows), 2), np.float32), rows)
        for where, expected in zip(wheres, catalog_matches(documents, wheres), strict=True):
            if (pushed := condition_of(where, known)) is not None:
                one = int(keys[0]), int(keys[-1]) + 1, expression(pushed)
                assert found(*one) == expected
                tried.append((one, expected))

    law()
    assert len(tried) > 20
    ours.settle(name, shape)
    for one, expected in tried:
        assert found(*one) == expected


def test_vectors_that_are_fitted_again_are_all_sent_again(tmp_path, server, client):
    from tests.support.models.fittable import Rare

    texts = [f"north {'east ' * (n % 5)}{'up ' * (n % 3)}" for n in range(60)]
    with Collection.create(tmp_path / "library") as collection:
        collection.add([Document(f"d{n}", text) for n, text in enumerate(texts)])
        collection.build("flat", Rare())
        options = {"index_type": "FLAT"}
        collection.build("remote", vectors="flat", engine=f"milvus:{server.uri}", options=options)
        collection.add([Document(f"e{n}", "up") for n in range(30)])
        collection.build("flat", Rare(), refit=True)
        assert collection.verify().ok
        assert len(client.list_collections()) == 1
        found = [collection.search("north up", index=one, k=5) for one in ("flat", "remote")]
        assert [hit.score for hit in found[0]] == [hit.score for hit in found[1]]


def test_a_build_that_changes_nothing_sends_nothing(library, client):
    before = client.describe_collection(name_of(client))["properties"]
    assert library.build("remote").embedded == 0
    assert client.describe_collection(name_of(client))["properties"] == before
    with pytest.raises(MismatchError, match="already exists"):
        library.build("remote", engine=library_engine(library), options={"index_type": "HNSW"})


def library_engine(library):
    return library.index_info("remote").engine


def damaged(library, what, verified=""):
    """The search, the check, and the repair of an index whose collection is another one."""
    with pytest.raises(DamageError, match=what):
        library.search("w1", index="remote")
    problems = library.verify().problems
    assert any((verified or what) in str(problem) for problem in problems), problems
    assert library.search("w1", index="flat")
    assert library.repair().ok
    same(library)
    assert library.verify().leftovers == ()


def test_a_collection_that_is_gone_is_noticed_and_built_again(library, client):
    client.drop_collection(name_of(client))
    damaged(library, "it is gone")


def test_a_collection_that_was_emptied_is_noticed_and_built_again(library, client):
    client.delete(name_of(client), filter="key >= 0")
    client.query(name_of(client), output_fields=["count(*)"], consistency_level="Strong")
    damaged(library, "it finds nothing", "it has 0 vectors; expected 300")


def test_a_collection_of_an_earlier_generation_is_noticed_and_built_again(library, client):
    client.alter_collection_properties(name_of(client), {MARKS: "1-earlier"})
    damaged(library, "it is behind: it is of generation 1")


def test_vectors_that_others_changed_are_found_by_verify(library, client):
    name = name_of(client)
    keys = range(1, 100)
    client.upsert(
        name, [{"key": key, "vector": np.ones(32, np.float32), "fields": {}} for key in keys]
    )
    (problem,) = library.verify().problems
    assert "other vectors than the shards here" in str(problem)
    assert library.repair().ok
    client.delete(name_of(client), ids=[7, 8])
    assert "it has 298 vectors; expected 300" in str(library.verify().problems[0])


def test_another_schema_is_noticed(library, client):
    name = name_of(client)
    properties = client.describe_collection(name)["properties"]
    client.drop_collection(name)
    client.create_collection(name, dimension=8, primary_field_name="key")
    client.alter_collection_properties(name, properties)
    with pytest.raises((DamageError, EngineError)):
        library.search("w1", index="remote")
    assert "its vectors are 8 wide" in str(library.verify().problems[0])
    assert library.repair().ok
    same(library)


def test_a_restored_collection_of_ours_notices_that_milvus_is_ahead(library, client, tmp_path):
    library.copy(tmp_path / "backup")
    library.add(documents(300, 310))
    library.build("flat")
    library.build("remote")
    library.build("flat")
    library.delete(["d4"])
    library.build("remote")
    with Collection.open(tmp_path / "backup") as backup:
        backup.use("flat", Gaussian())
        with pytest.raises(DamageError, match="it is ahead"):
            backup.search("w1", index="remote")
        # It is not the owner: it builds one of its own, and removes no other.
        backup.repair()
        same(backup)
        assert len(client.list_collections()) == 2
        same(library)
        backup.drop("remote")
        assert len(client.list_collections()) == 1
    same(library)


def test_what_a_killed_build_left_on_milvus_is_removed(library, client, monkeypatch):
    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(remote.RemoteEngine, "_send", die)
        patched.setattr(milvus.MilvusServer, "drop", lambda self, name: None)
        with pytest.raises(KeyboardInterrupt):
            library.build("again", vectors="flat", engine=library_engine(library))
    assert len(client.list_collections()) == 2
    library.delete([])  # the next writer sweeps
    assert len(client.list_collections()) == 1
    same(library)


def test_a_wrong_password_is_one_error(library, server, monkeypatch):
    monkeypatch.setenv(milvus.TOKEN, "root:wrong")
    with pytest.raises(EngineError, match="refuses the password.*MILVUS_TOKEN"):
        library.search("w1", index="remote")
    assert "refuses the password" in str(library.verify().problems[0])
    with pytest.raises(InputError, match="would be kept in the catalog"):
        remote_definition("milvus:http://root:Milvus@127.0.0.1:1", {})


def test_a_milvus_that_is_not_there_is_one_error(library):
    with pytest.raises(EngineError, match="127.0.0.1:9 cannot"):
        library.build("gone", vectors="flat", engine="milvus:http://127.0.0.1:9")
    assert "gone" not in library.index_names() or library.search("w1", index="gone")


def test_a_milvus_that_does_not_answer_is_one_error_and_may_come_back(library, server, monkeypatch):
    monkeypatch.setattr(milvus, "CALL_SECONDS", 1.0)
    server.send(signal.SIGSTOP)
    try:
        with pytest.raises(EngineError, match="cannot describe a collection"):
            library.search("w1", index="remote")
        assert library.search("w1", index="flat")
    finally:
        server.send(signal.SIGCONT)
    monkeypatch.setattr(milvus, "CALL_SECONDS", 30.0)
    same(library)


def test_it_is_compared_like_any_other_index_and_built_by_the_command_line(library, server):
    folder = str(library.path)
    options = ["--vectors", "flat", "--engine", f"milvus:{server.uri}"]
    printed = succeed(
        "build", folder, "graph", *options, "-o", "index_type", "HNSW", "-o", "M", "8"
    )
    assert "graph: 0 documents embedded" in printed
    queries = {f"q{n}": document.text for n, document in enumerate(documents(0, 20))}
    qrels = {f"q{n}": {f"d{n}": 1} for n in range(20)}
    assert "server of its structure" in succeed("info", folder)
    found = compare(library, ["flat", "graph"], queries=queries, qrels=qrels)
    words = f"--vectors flat --engine milvus:{server.uri} -o index_type HNSW -o M 8 -o ef 128"
    assert any(words in str(one) for one in found.environment.values())
    assert found.rows["graph"].ann_recall >= 0.9
    assert found.rows["flat"].quality == found.rows["graph"].quality


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"index_type": "HNSV"}, "index_type is 'HNSV'"),
        ({"nlist": 4}, "nlist: no option of HNSW"),
        ({"M": "many"}, "options of an engine are numbers"),
    ],
)
def test_options_that_milvus_has_not_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        remote_definition("milvus:http://127.0.0.1:19530", options)


@pytest.mark.parametrize("engine", ["milvus", "milvus:", "milvus:nowhere", "quadrant:http://a:1"])
def test_engines_that_are_none_are_refused(engine):
    with pytest.raises(InputError, match="engine is|no address"):
        remote_definition(engine, {})
