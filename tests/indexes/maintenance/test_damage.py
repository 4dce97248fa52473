"""Damage to any file is detected, or changes no answer."""

import contextlib
import dataclasses
import itertools
import multiprocessing
import random
import re
import shutil
import signal
import sqlite3
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from indexes.errors import CollectionError, DamageError, InputError, NewerFormatError, NextStep
from retriever import Collection, Document, HashingEmbedder, Words
from tests.support.toy import Axes, refused

CASES = 1_000
LEXICAL_CASES = 150
SECONDS_A_CASE = 10
WORDS = ["wind", "sand", "tide", "moon", "fern", "moss", "owl", "elk"]
WORDS += ["salt", "iron", "rope", "sail", "lamp", "bell", "clay", "reed"]
QUERIES = ["wind and sand", "an iron bell", "moss fern owl", "tide moon salt", "nothing known"]


def text_of(n, words):
    """Some words, drawn by number, with letters of one to four bytes."""
    drawn = random.Random(n)
    return " ".join([*drawn.choices(WORDS, k=words), f"nº{n}", drawn.choice("éßж漢😀")])


def document(n, words=12):
    metadata = {"year": 1990 + n % 7, "tags": [WORDS[n % 5], n % 3], "n": n}
    return Document(f"doc-{n:02}", text_of(n, words), title=f"Title {n % 9}", metadata=metadata)


def make_plain(folder):
    """60 documents: one edited, three deleted, one not embedded; flat and HNSW, a field indexed."""
    with Collection.create(folder) as collection:
        collection.index_fields("year")
        collection.add((document(n) for n in range(60)), source="made")
        collection.build("flat", HashingEmbedder(32))
        collection.build("graph", vectors="flat", ann="HNSW8")
        collection.delete(["doc-07", "doc-21", "doc-40"])
        collection.add([dataclasses.replace(document(5), text="moss and an iron bell")])
        collection.build("flat")
        collection.add([document(60)])


def make_split(folder):
    """20 documents in passages of eight words: two deleted, one not embedded."""
    with Collection.create(folder, split=Words(8, overlap=2)) as collection:
        collection.index_fields("year")
        collection.add((document(n, words=30) for n in range(20)), source="made")
        collection.build("flat", HashingEmbedder(32))
        collection.build("graph", vectors="flat", ann="HNSW8")
        collection.delete(["doc-03", "doc-11"])
        collection.add([document(20, words=30)])


@dataclasses.dataclass(frozen=True)
class Sample:
    """A collection to be damaged: its folder, the bytes of its files, its answers while intact."""

    folder: Path
    files: dict[str, bytes]
    answers: dict[str, object]

    @contextlib.contextmanager
    def with_file(self, name, data):
        """Replace the bytes of a file (None: remove it), and restore them afterwards."""
        path = self.folder / name
        path.unlink()
        if data is not None:
            path.write_bytes(data)
        try:
            yield
        finally:
            for log in self.folder.glob("catalog.db-*"):
                log.unlink()
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(self.files[name])


def bytes_of(folder, paths):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(paths)}


def sample(folder, make):
    make(folder)
    paths = [path for path in folder.rglob("*") if path.suffix in (".db", ".npy", ".faiss")]
    files = bytes_of(folder, paths)
    assert {name.split("/")[0] for name in files} == {"catalog.db", "vectors", "ann"}
    answers = answers_of(folder)
    assert not any(isinstance(answer, Exception) for answer in answers.values())
    return Sample(folder, files, answers)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage")
    return [sample(folder / "plain", make_plain), sample(folder / "split", make_split)]


FILTERS = {
    "indexed": {"year": {">=": 1993}},
    "unindexed": {"n": {"<": 30}},
    "list": {"tags": "wind", "not": {"year": 1990}},
}


def questions():
    """Return functions of a collection by name, with results that can be compared."""
    asked = {
        "len": len,
        "documents": lambda c: list(c.documents()),
        "unknown_ids": lambda c: c.unknown_ids([f"doc-{n:02}" for n in range(70)]),
        "sources": lambda c: c.sources(),
        "info": lambda c: dataclasses.replace(c.info(), catalog_size=0),
        "no such document": lambda c: c._store.corpus.document("doc-07x"),
    }

    def search(queries, **options):
        return lambda collection: collection.search_many(queries, **options)

    for index in ("flat", "graph"):
        for k in (3, 100):
            asked[f"{index}, {k}"] = search(QUERIES, index=index, k=k)
        for name, where in FILTERS.items():
            asked[f"{index}, {name}"] = search(QUERIES[:2], index=index, k=50, where=where)
        asked[f"{index}, run"] = lambda c, index=index: (
            c.retriever(index).run({"q": QUERIES[0]}, 9).ranking
        )
    for n in range(62):
        asked[f"document {n}"] = lambda c, n=n: c._store.corpus.document(f"doc-{n:02}")
    return asked


QUESTIONS = questions()


def answers_of(folder):
    """The answer to each question, or the exception in its place."""

    def answer(question, *of):
        try:
            return question(*of)
        except Exception as error:
            return error

    collection = answer(Collection.open, folder)
    if isinstance(collection, Exception):
        return {"open": collection}
    with collection:
        return {name: answer(question, collection) for name, question in QUESTIONS.items()}


@contextlib.contextmanager
def limited(seconds):
    """Turn a question that never ends into a failure."""

    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclasses.dataclass(frozen=True)
class Damage:
    """One bit or one byte of a file changed, or the file cut off at a position."""

    file: str
    kind: str
    position: int
    change: int = 0

    def done_to(self, data):
        if self.kind == "cut":
            return data[: self.position]
        changed = bytearray(data)
        changed[self.position] ^= self.change
        return bytes(changed)


def damages(files, count, seed):
    """Damages spread over all files: of the catalog, every page is hit as often as the others."""
    drawn = random.Random(seed)
    catalog = len(files["catalog.db"])
    assert catalog % 4096 == 0
    pages = catalog // 4096
    made = []
    others = sorted(set(files) - {"catalog.db"})
    for n in range(count):
        # Four of five hit the catalog: whatever is in other files, their checksum is the same.
        name = "catalog.db" if n % 5 else others[n // 5 % len(others)]
        data = files[name]
        if n % 16 == 0:
            made.append(Damage(name, "cut", drawn.randrange(len(data))))
            continue
        first, size = (n % pages * 4096, 4096) if name == "catalog.db" else (0, len(data))
        used = [at for at in range(first, first + size) if data[at]]
        # Most of a page may be empty: half of the flips are aimed at what is written there.
        aimed = used and drawn.random() < 0.5
        at = drawn.choice(used) if aimed else first + drawn.randrange(size)
        change = 1 << drawn.randrange(8) if drawn.random() < 0.5 else drawn.randrange(1, 256)
        made.append(Damage(name, "flip", at, change))
    return made


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Effect of a damage: `detected`, `harmless` or `WRONG`, and for which question.

    The answer is kept as text: an exception would keep connections alive.
    """

    word: str
    question: str = ""
    answer: str = ""


def outcome_of(intact, answers):
    """The worst effect: an answer that differs from the intact collection's.

    Only a `CollectionError` counts as detection: "no such document" would be a wrong answer.
    """
    detected = None
    for question, found in answers.items():
        if isinstance(found, CollectionError):
            detected = detected or Outcome("detected", question, repr(found))
        elif isinstance(found, Exception) or found != intact.get(question):
            return Outcome("WRONG", question, repr(found)[:200])
    return detected or Outcome("harmless")


def outcome_of_damage(intact, damage):
    """The effect of one damage, and whether `verify` finds it (None: it was not run)."""
    with intact.with_file(damage.file, damage.done_to(intact.files[damage.file])):
        with limited(SECONDS_A_CASE):
            outcome = outcome_of(intact.answers, answers_of(intact.folder))
            if outcome.question == "open" or outcome.word == "harmless":
                return outcome, None
            with Collection.open(intact.folder) as collection:
                try:
                    return outcome, not collection.verify().ok
                except Exception as error:
                    return outcome, isinstance(error, CollectionError)


def try_all(intact, damages):
    return [(damage, *outcome_of_damage(intact, damage)) for damage in damages]


def test_damage_is_detected_or_changes_no_answer(samples, record_testsuite_property, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # two processes have a core each
    parts = []
    for n, intact in enumerate(samples):
        made = damages(intact.files, CASES // len(samples), seed=n)
        again = intact.folder.with_name(f"{intact.folder.name} again")
        shutil.copytree(intact.folder, again)
        copy = Sample(again, intact.files, answers_of(again))
        parts += [(intact, made[::2]), (copy, made[1::2])]
    # Fresh processes: what other tests have started must not be forked.
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as workers:
        tried = list(itertools.chain.from_iterable(workers.map(try_all, *zip(*parts, strict=True))))
    counts = Counter((o.word, d.kind, d.file.split("/")[0]) for d, o, _ in tried)
    for what, count in sorted(counts.items()):
        record_testsuite_property(" ".join(what), count)
    assert len(tried) == CASES
    assert [case for case in tried if case[1].word == "WRONG"] == []
    assert [case for case in tried if case[2] is False] == []


def test_files_of_vectors_and_structures_are_checked_before_their_first_use(samples):
    for intact in samples:
        for name in sorted(set(intact.files) - {"catalog.db"}):
            data = intact.files[name]
            index = "graph" if name.startswith("ann/") else "flat"
            cut = [data[:size] for size in (0, 1, len(data) // 2, len(data) - 1)]
            flipped = data[:-1] + bytes([data[-1] ^ 1])
            for left in (*cut, flipped, data + b"\0", None):
                with intact.with_file(name, left), Collection.open(intact.folder) as collection:
                    how = "missing" if left is None else "damaged"
                    with pytest.raises(DamageError, match=how) as caught:
                        collection.search("wind", index=index)
                    assert str(intact.folder / name) in str(caught.value)
                    assert caught.value.next_step == NextStep("repair", intact.folder)
                    assert any(name in problem.what for problem in collection.verify().problems)
                    if index == "graph":
                        flat = collection.search_many(QUERIES, index="flat", k=3)
                        assert flat == intact.answers["flat, 3"]


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Documents that BM25 has read, one of them deleted since; its files, and its answers."""
    folder = tmp_path_factory.mktemp("words") / "c"
    with Collection.create(folder) as collection:
        collection.add(document(n) for n in range(60))
        collection.build("bm25", lexical=True)
        collection.delete(["doc-07"])
        answers = collection.search_many(QUERIES, index="bm25", k=100)
    paths = [path for path in (folder / "lexical").rglob("*") if path.is_file()]
    return Sample(folder, bytes_of(folder, paths), {"bm25": answers})


def test_every_change_of_a_bm25_file_is_detected(words):
    drawn = random.Random(3)
    for n in range(LEXICAL_CASES):
        name = sorted(words.files)[n % len(words.files)]
        data = words.files[name]
        at = drawn.randrange(len(data))
        damage = Damage(name, "flip" if n % 3 else "cut", at, 1 << drawn.randrange(8))
        with (
            words.with_file(name, damage.done_to(data)),
            limited(SECONDS_A_CASE),
            Collection.open(words.folder) as collection,
        ):
            with pytest.raises(DamageError) as caught:
                collection.search("wind", index="bm25")
            (folder,) = (words.folder / "lexical").iterdir()
            assert str(folder) in str(caught.value)
            assert [str(folder) in str(one) for one in collection.verify().problems] == [True]
    for name in words.files:
        with words.with_file(name, None), Collection.open(words.folder) as collection:
            refused(DamageError, None, collection.search, "wind", index="bm25")
    with Collection.open(words.folder) as collection:
        assert collection.search_many(QUERIES, index="bm25", k=100) == words.answers["bm25"]


@pytest.fixture
def folder(tmp_path):
    """Eight documents in two shards of the same size; the structure has seen the first."""
    with Collection.create(tmp_path / "c") as collection:
        collection.add(document(n) for n in range(4))
        collection.build("flat", HashingEmbedder(32))
        collection.build("graph", vectors="flat", ann="HNSW8")
        collection.add(document(n) for n in range(4, 8))
        collection.build("flat")
    return tmp_path / "c"


SHARDS = ("vectors/flat/00000001.npy", "vectors/flat/00000002.npy")


def problems_of(collection):
    return [problem.what for problem in collection.verify().problems]


EMBEDDED = "embedded {} passages of 'flat' again"
BUILT = "built the structure of 'graph' again"


@pytest.mark.parametrize(
    ("pattern", "harm", "embedded"),
    [
        ("vectors/flat/*2.npy", lambda data: [data[:-5] + bytes([data[-5] ^ 0x40]) + data[-4:]], 4),
        ("vectors/flat/*1.npy", lambda data: [None], 4),
        ("vectors/flat/*.npy", lambda one, other: [other, one], 8),
        ("ann/*", lambda data: [data[:1000]], 0),
        ("ann/*", lambda data: [None], 0),
    ],
)
def test_repair_rebuilds_derived_files_with_the_same_scores(folder, pattern, harm, embedded):
    before = searches_of(folder)
    paths = sorted(folder.glob(pattern))
    contents = [path.read_bytes() for path in paths]
    assert len(set(map(len, contents))) == 1
    assert len(set(contents)) == len(contents)
    for path, data in zip(paths, harm(*contents), strict=True):
        path.unlink()
        if data is not None:
            path.write_bytes(data)
    done = [EMBEDDED.format(embedded), BUILT] if embedded else [BUILT]
    index = "flat" if embedded else "graph"
    with Collection.open(folder) as collection:
        with pytest.raises(DamageError) as caught:
            collection.search("wind", index=index)
        assert str(paths[0]) in str(caught.value)
        assert caught.value.next_step == NextStep("repair", folder)
        for path, problem in zip(paths, problems_of(collection), strict=True):
            assert str(path) in problem
        repaired = collection.repair()
        assert (repaired.done, repaired.left) == (tuple(done), ())
        assert collection.verify().ok
        # A repair that has nothing to do does nothing.
        assert collection.repair().done == ()
    assert searches_of(folder) == before


def searches_of(folder):
    """Answers of every index: all of a hit, but scores alone where a structure may break ties."""
    with Collection.open(folder) as collection:
        few = collection.search_many(QUERIES, index="graph", k=3)
        return [
            [[hit.score for hit in hits] for hits in few],
            collection.search_many(QUERIES, index="graph", k=100),
            *(collection.search_many(QUERIES, index="flat", k=k) for k in (1, 3, 100)),
        ]


def test_repair_removes_files_that_the_catalog_does_not_name(folder):
    stray = folder / "vectors" / "flat" / "00000099.npy"
    shutil.copy(folder / SHARDS[0], stray)
    with Collection.open(folder) as collection:
        checked = collection.verify()
        assert (checked.ok, checked.leftovers) == (True, (stray,))
        assert collection.repair().done == (f"removed {stray}, which the catalog does not name",)
        assert collection.verify().leftovers == ()


def test_a_damaged_text_is_never_returned_and_stays_a_problem(folder):
    catalog = folder / "catalog.db"
    data, text = catalog.read_bytes(), text_of(3, 12).encode()
    assert data.count(text) == 1
    catalog.write_bytes(data.replace(text, b"W" + text[1:]))
    with Collection.open(folder) as collection:
        said = f"{catalog} is damaged: the text of document 'doc-03' is not what was added."
        said += " Restore it from a backup"
        for question in (
            lambda: collection.document("doc-03"),
            lambda: list(collection.documents()),
            lambda: collection.search(text.decode(), index="flat", k=1),
            lambda: collection.search("wind", index="graph", k=100),
        ):
            refused(DamageError, re.escape(said), question)
        named = "Document 'doc-03' is damaged: its text is not what was added."
        assert problems_of(collection) == [named]
        repaired = collection.repair()
        assert (repaired.done, repaired.ok) == ((), False)
        assert [str(problem) for problem in repaired.left] == [named]
        # What the others say is not lost, and this one can be put back.
        assert collection.document("doc-04") == document(4)
        collection.delete(["doc-03"])
        collection.add([document(3)])
        collection.build("flat")
        assert collection.verify().ok
        assert collection.search(text.decode(), index="flat", k=1)[0].doc_id == "doc-03"


@pytest.fixture
def axes(tmp_path):
    """Two documents in an index of an embedder that has to be given, and in an ANN index."""
    with Collection.create(tmp_path / "c") as collection:
        collection.add([Document("n", "north"), Document("e", "east")])
        collection.build("flat", Axes())
        collection.build("graph", vectors="flat", ann="HNSW8")
    return tmp_path / "c"


def test_repair_asks_for_a_missing_embedder_before_it_changes_anything(axes):
    (shard,) = (axes / "vectors").rglob("*.npy")
    (structure,) = (axes / "ann").iterdir()
    shard.write_bytes(shard.read_bytes()[:-1])
    kept = structure.read_bytes()
    with Collection.open(axes) as collection:
        generation = collection._store.catalog.generation()
        said = r"Give it first: collection.use\('flat', embedder\)"
        refused(InputError, said, collection.repair)
        assert collection._store.catalog.generation() == generation
        assert structure.read_bytes() == kept
        assert [str(shard) in str(problem) for problem in collection.verify().problems] == [True]
        collection.use("flat", Axes())
        assert collection.repair().done == (EMBEDDED.format(2), BUILT)
        assert collection.search("east", index="graph", k=1)[0].doc_id == "e"
        assert collection.verify().ok


def test_a_structure_is_rebuilt_without_its_embedder(axes):
    (structure,) = (axes / "ann").iterdir()
    structure.unlink()
    with Collection.open(axes) as collection:
        assert collection.repair().done == (BUILT,)
        assert collection.verify().ok


@pytest.mark.parametrize("lost", ["ann", "vectors"])
def test_repair_succeeds_with_too_few_vectors_for_a_structure(tmp_path, lost):
    folder = tmp_path / "c"
    with Collection.create(folder) as collection:
        collection.add(document(n) for n in range(8))
        collection.build("flat", HashingEmbedder(32))
        collection.build("cells", vectors="flat", ann="IVF4,Flat")
        collection.delete([f"doc-{n:02}" for n in range(6)])
        before = collection.search_many(QUERIES, index="cells")
    next(path for path in (folder / lost).rglob("*.*")).unlink()
    with Collection.open(folder) as collection:
        repaired = collection.repair()
        assert (repaired.ok, repaired.done != (), collection.verify().ok) == (True, True, True)
        assert collection.search_many(QUERIES, index="cells") == before


def tamper(folder, statement):
    with contextlib.closing(sqlite3.connect(folder / "catalog.db")) as database:
        assert database.execute(statement).rowcount == 1
        database.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM shards WHERE shard = 1",
        "UPDATE shards SET file = 'vectors/flat/00000002.npy' WHERE shard = 1",
        "UPDATE shards SET stop_key = stop_key - 1 WHERE shard = 1",
        "UPDATE indexes SET file = 'ann/other.faiss' WHERE name = 'graph'",
        "UPDATE embeddings SET dim = 16",
        "UPDATE state SET next_key = 1",
        "UPDATE state SET digest = x'00'",
    ],
)
def test_a_damaged_list_of_files_stops_every_operation(folder, statement):
    tamper(folder, statement)
    stray = folder / "ann" / "stray.faiss"
    stray.write_bytes(b"perhaps it is needed")
    files = [path for top in ("vectors", "ann") for path in (folder / top).rglob("*.*")]
    assert len(files) == 4
    message = f"{folder}/catalog.db is damaged: its list of files is not what was committed"
    with Collection.open(folder) as collection:
        for ask in (
            lambda: collection.search("wind", index="flat"),
            lambda: collection.search("wind", index="graph", where={"year": 1990}),
            lambda: collection.retriever("flat").run({"q": "wind"}, 3),
            collection.info,
            collection.index_names,
            lambda: collection.add([document(9)]),
            lambda: collection.delete(["doc-01"]),
            lambda: collection.delete(where={"year": 1990}),
            lambda: collection.index_fields("year"),
            lambda: collection.build("flat"),
            lambda: collection.drop("graph"),
            collection.compact,
        ):
            refused(DamageError, re.escape(f"{message}. Restore it from a backup"), ask)
        assert [message in str(problem) for problem in collection.verify().problems] == [True]
        repaired = collection.repair()
        assert (repaired.done, repaired.ok) == ((), False)
    assert all(path.exists() for path in files)


def test_a_new_file_never_replaces_one_that_the_catalog_names(folder):
    # SQLite's own table of the numbers that were given last.
    tamper(folder, "UPDATE sqlite_sequence SET seq = 0 WHERE name = 'shards'")
    named = {name: (folder / name).read_bytes() for name in SHARDS}
    with Collection.open(folder) as collection:
        collection.add([document(9)])
        with contextlib.suppress(CollectionError):
            collection.build("flat")
        # Those that were merged into another are gone.
        left = {name: data for name, data in named.items() if (folder / name).exists()}
        assert all((folder / name).read_bytes() == data for name, data in left.items())
        assert len(collection.search(QUERIES[0], index="graph", k=100)) >= 8


def test_repair_reports_an_id_that_damage_has_duplicated(folder):
    catalog = folder / "catalog.db"
    data = bytearray(catalog.read_bytes())
    # The row comes before its entry in the index of ids.
    data[data.index(b"doc-03") + 5] = ord("2")
    catalog.write_bytes(data)
    with Collection.open(folder) as collection:
        damaged = "Document 'doc-02' is damaged: its row is not what was committed."
        assert damaged in problems_of(collection)
        assert damaged in [str(problem) for problem in collection.repair().left]


def test_a_generation_that_is_no_number_is_damage(folder):
    nullable = "replace(sql, 'generation INTEGER NOT NULL', 'generation INTEGER')"
    with contextlib.closing(sqlite3.connect(folder / "catalog.db")) as database, database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute(f"UPDATE sqlite_master SET sql = {nullable} WHERE name = 'state'")
    tamper(folder, "UPDATE state SET generation = NULL")
    with Collection.open(folder) as collection:
        refused(DamageError, "its row of state is not what was", collection.retriever, "flat")


def test_a_catalog_of_a_newer_version_is_left_unchanged(folder):
    tamper(folder, "UPDATE _sqlite_migrations SET name = '0999_later' WHERE name LIKE '0001%'")
    before = (folder / "catalog.db").read_bytes()
    with pytest.raises(NewerFormatError) as caught:
        Collection.open(folder)
    said = f"{folder}/ was written by a newer Retriever (schema step 0999_later)"
    assert said in str(caught.value)
    assert caught.value.next_step == NextStep("upgrade", folder)
    assert (folder / "catalog.db").read_bytes() == before
