"""What a damaged file can do to an answer: nothing. It is noticed, or it changes nothing."""

import contextlib
import dataclasses
import random
import shutil
import signal
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from toy import Axes

from indexes.errors import CollectionError, DamageError, InputError, NewerFormatError
from retriever import Collection, Document, HashingEmbedder, RetrieverError, Words

CASES = 1_000
SECONDS_A_CASE = 10
WORDS = "wind sand tide moon fern moss owl elk salt iron rope sail lamp bell clay reed".split()
QUERIES = ["wind and sand", "an iron bell", "moss fern owl", "tide moon salt", "nothing known"]
INDEXES = ("flat", "graph")


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
        collection.add(document(n) for n in range(60))
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
        collection.add(document(n, words=30) for n in range(20))
        collection.build("flat", HashingEmbedder(32))
        collection.build("graph", vectors="flat", ann="HNSW8")
        collection.delete(["doc-03", "doc-11"])
        collection.add([document(20, words=30)])


@dataclasses.dataclass(frozen=True)
class Sample:
    """A collection to be damaged: its folder, the bytes of its files, its answers while whole."""

    folder: Path
    files: dict[str, bytes]
    answers: dict[str, object]

    @contextlib.contextmanager
    def with_file(self, name, data):
        """Put other bytes (None: nothing) in place of a file, and the whole ones back after it."""
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


def sample(folder, make):
    make(folder)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".db", ".npy", ".faiss")
    }
    assert {name.split("/")[0] for name in files} == {"catalog.db", "vectors", "ann"}
    answers = answers_of(folder)
    assert not any(isinstance(answer, Exception) for answer in answers.values())
    return Sample(folder, files, answers)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage")
    return [sample(folder / "plain", make_plain), sample(folder / "split", make_split)]


# -- a fixed set of questions -------------------------------------------------------------------


def questions():
    """What is asked of a collection, by name: each takes it, and gives what can be compared."""
    asked = {
        "len": len,
        "documents": lambda c: list(c.documents()),
        "unknown_ids": lambda c: c.unknown_ids([f"doc-{n:02}" for n in range(70)]),
        "info": lambda c: dataclasses.replace(c.info(), catalog_size=0),
        "no such document": lambda c: c._store.document("doc-07x"),
    }
    for index in INDEXES:
        for k in (3, 100):
            asked[f"{index}, {k}"] = lambda c, index=index, k=k: c.search_many(
                QUERIES, index=index, k=k
            )
        for name, where in {
            "indexed": {"year": {">=": 1993}},
            "unindexed": {"n": {"<": 30}},
            "list": {"tags": "wind", "not": {"year": 1990}},
        }.items():
            asked[f"{index}, {name}"] = lambda c, index=index, where=where: c.search_many(
                QUERIES[:2], index=index, k=50, where=where
            )
        asked[f"{index}, run"] = lambda c, index=index: (
            c.retriever(index).run({"q": QUERIES[0]}, 9).ranking
        )
    for n in range(62):
        asked[f"document {n}"] = lambda c, n=n: c._store.document(f"doc-{n:02}")
    return asked


QUESTIONS = questions()


def answers_of(folder):
    """The answer to each question, or the exception in its place."""
    try:
        collection = Collection.open(folder)
    except Exception as error:
        return {"open": error}
    with collection:
        return {name: answer(question, collection) for name, question in QUESTIONS.items()}


def answer(question, collection):
    try:
        return question(collection)
    except Exception as error:
        return error


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


# -- a thousand damages -------------------------------------------------------------------------


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
        at = drawn.choice(used) if used and n % 2 else first + drawn.randrange(size)
        change = 1 << drawn.randrange(8) if drawn.random() < 0.5 else drawn.randrange(1, 256)
        made.append(Damage(name, "flip", at, change))
    return made


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a damage: `detected`, `harmless` or `WRONG`, and the first that was so."""

    word: str
    question: str = ""
    answer: object = None


def outcome_of(whole, answers):
    """The worst of what came: an answer that is not the whole collection's, and no error of ours.

    Not every error of ours will do: that there is no such document would be a wrong answer.
    """
    detected = None
    for question, found in answers.items():
        if isinstance(found, CollectionError):
            detected = detected or Outcome("detected", question, found)
        elif isinstance(found, Exception) or found != whole.get(question):
            return Outcome("WRONG", question, found)
    return detected or Outcome("harmless")


def try_out(whole, damage):
    """What comes of one damage, and whether `verify` sees it (None: it cannot be opened)."""
    with whole.with_file(damage.file, damage.done_to(whole.files[damage.file])):
        with limited(SECONDS_A_CASE):
            outcome = outcome_of(whole.answers, answers_of(whole.folder))
            if outcome.question == "open" or outcome.word == "harmless":
                return outcome, None
            with Collection.open(whole.folder) as collection:
                return outcome, bool(collection.verify().problems)


def test_a_thousand_damages_are_each_noticed_or_change_no_answer(samples, record_property):
    counts, wrong, unseen = Counter(), [], []
    for n, whole in enumerate(samples):
        for damage in damages(whole.files, CASES // len(samples), seed=n):
            outcome, seen = try_out(whole, damage)
            counts[outcome.word, damage.file.split("/")[0], damage.kind] += 1
            if outcome.word == "WRONG":
                wrong.append((damage, outcome))
            if seen is False:
                unseen.append((damage, outcome))
    for (word, file, kind), count in sorted(counts.items()):
        record_property(f"{word} {file} {kind}", count)
        print(f"{count:5} {word:9} {kind:5} {file}")
    assert sum(counts.values()) == CASES
    assert wrong == []
    assert unseen == []
