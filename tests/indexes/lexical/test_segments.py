"""A BM25 index is built at a cost that follows the change, and answers like one built at once."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.lexical import bm25, deleted, segments
from indexes.lexical.deleted import Deleted
from retriever import Collection, Document
from tests.support.laws import examples

WORDS = ["owl", "elk", "moss", "fern", "salt"]
texts = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)
# New and edited documents by number, numbers of deleted ones, and whether to build then.
changes = st.lists(
    st.tuples(
        st.dictionaries(st.integers(0, 60), texts, max_size=25),
        st.sets(st.integers(0, 60), max_size=12),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(autouse=True, scope="module")
def small_intervals():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SMALL_ROWS", 8)
        patch.setattr(segments, "COST", 1)
        patch.setattr(segments, "SHARE", 1 / 4)
        yield


class Watched:
    """What a build reports as done."""

    def __init__(self):
        self.done = []

    def __call__(self, done, total):
        self.done.append(done)


def build(collection):
    return collection.build("bm25", lexical=True, language="none")


def everything(collection):
    found = collection.search_many([*WORDS, "owl moss salt salt"], index="bm25", k=100)
    return [[(hit.doc_id, hit.score) for hit in hits] for hits in found]


def assert_same(found, wanted):
    """Compare all hits of some queries: scores are rounded to four decimals."""
    for some, others in zip(found, wanted, strict=True):
        assert dict(some) == pytest.approx(dict(others), abs=1.01e-4)
        assert [score for _, score in some] == sorted(dict(some).values(), reverse=True)


def folder_of(collection):
    return collection.path / collection._store.index("bm25").file


def inodes(folder):
    return {path.stat().st_ino for path in folder.iterdir() if path.suffix != ".json"}


@settings(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes)
def test_any_additions_edits_and_deletions_answer_like_one_build(steps):
    folder, left = Path(tempfile.mkdtemp()), {}
    with Collection.create(folder / "grown") as grown, Collection.create(folder / "once") as once:
        for new, gone, builds in [*steps, ({0: "owl"}, set(), True)]:
            grown.add(Document(f"d{n}", text) for n, text in new.items())
            # An edited document keeps its place in the collection, but not the key of its passage.
            left = {n: text for n, text in left.items() if new.get(n, text) == text} | new
            gone = sorted(gone & left.keys())
            grown.delete([f"d{n}" for n in gone])
            left = {n: text for n, text in left.items() if n not in gone}
            if builds and left:
                build(grown)
        once.add(Document(f"d{n}", text) for n, text in left.items())
        build(once)
        assert_same(everything(grown), everything(once))
        assert grown.index_info("bm25").rows == len(left)
        assert grown.verify().ok
        assert len(json.loads((folder_of(grown) / "intervals.json").read_text())["intervals"]) < 20


def test_without_tantivys_explanations_intervals_are_read_again(collection, monkeypatch):
    """Their wording may change with its version."""
    monkeypatch.setattr(bm25, "MEAN_LENGTH", "average length, ")
    collection.add(Document(f"d{n}", f"{WORDS[n % 5]} word{n}") for n in range(64))
    build(collection)
    collection.delete(["d3"])
    build(collection)
    assert deleted.read(folder_of(collection)) == Deleted()
    found = everything(collection)
    collection.drop("bm25")
    build(collection)
    assert found == everything(collection)


def test_only_changed_intervals_are_read_and_the_files_of_others_are_shared(
    collection, monkeypatch
):
    collection.add(Document(f"d{n}", f"{WORDS[n % 5]} word{n}") for n in range(64))
    build(collection)
    read, write = [], bm25.write

    def counted(language, passages):
        passages = {folder: list(some) for folder, some in passages.items()}
        read.extend([passage.key for passage in some] for some in passages.values() if some)
        write(language, passages)

    monkeypatch.setattr(bm25, "write", counted)
    before = inodes(folder_of(collection))
    collection.add([Document("new", "owl salt")])
    build(collection)
    assert read == [[65]]
    assert before < inodes(folder_of(collection))
    collection.delete(f"d{n}" for n in [0, *range(40, 45)])
    build(collection)
    # Filler, which makes up for the one that is only hidden, has no key.
    assert read[1:] == [[*range(33, 41), *range(46, 49)], [-1] * len(read[2])]
    build(collection)
    assert len(read) == 3


def test_intervals_that_are_written_side_by_side_answer_like_one_thread(collection, monkeypatch):
    monkeypatch.setattr(bm25, "AT_ONCE", 3)
    collection.add(Document(f"d{n}", f"{WORDS[n % 5]} word{n % 9}") for n in range(200))
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        watched = Watched()
        collection.build("bm25", lexical=True, progress=watched)
        found, layout = (
            everything(collection),
            (folder_of(collection) / "intervals.json").read_text(),
        )
        intervals = json.loads(layout)["intervals"]
        assert [len(one["segments"]) for one in intervals] == [1] * len(intervals)
        assert [one["first"] for one in intervals] == sorted(one["first"] for one in intervals)
        assert watched.done == sorted(watched.done)
        assert watched.done[-1] == sum(one["rows"] for one in intervals) == 200
        if threads == "1":
            before, spans = found, [(one["first"], one["stop"]) for one in intervals]
            collection.drop("bm25")
    assert found == before
    assert [(one["first"], one["stop"]) for one in intervals] == spans


def test_where_files_cannot_be_linked_they_are_copied(collection, monkeypatch):
    collection.add(Document(f"d{n}", WORDS[n % 5]) for n in range(32))
    build(collection)
    before = inodes(folder_of(collection))

    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    collection.add([Document("new", "owl")])
    build(collection)
    assert not before & inodes(folder_of(collection))
    assert collection.verify().ok
    assert "new" in dict(everything(collection)[0])


@pytest.mark.parametrize("change", ["another reading", "no layout"])
def test_an_index_that_reads_texts_in_another_way_is_built_from_the_start(
    collection, monkeypatch, change
):
    collection.add(Document(f"d{n}", WORDS[n % 5]) for n in range(32))
    with monkeypatch.context() as patch:
        patch.setattr(bm25, "reading", lambda language: "as before")
        if change == "no layout":
            patch.setattr(segments, "LAYOUT", "other.json")
        build(collection)
    before = inodes(folder_of(collection))
    collection.add([Document("new", "owl")])
    build(collection)
    assert not before & inodes(folder_of(collection))
    assert collection.verify().ok


def test_a_few_edited_and_deleted_documents_are_taken_off_the_statistics(collection):
    collection.add(Document(f"d{n}", f"{WORDS[n % 5]} " * (1 + n % 4)) for n in range(64))
    build(collection)
    before = inodes(folder_of(collection))
    for n in range(3):
        collection.add([Document(f"d{7 * n}", "owl fern fern")])
        collection.delete([f"d{7 * n + 30}"])
        build(collection)
        assert before < inodes(folder_of(collection))
    left = list(collection.documents())
    with Collection.create(collection.path.parent / "once") as once:
        once.add(left)
        build(once)
        assert_same(everything(collection), everything(once))
    assert collection.verify().ok
    assert json.loads((folder_of(collection) / "deleted.json").read_text())["keys"]
    collection.compact()
    assert not (folder_of(collection) / "deleted.json").exists()
    assert collection.verify().ok


def test_words_that_only_deleted_documents_have_find_nothing(collection):
    collection.add(Document(f"d{n}", WORDS[n % 5] if n else "filler unique") for n in range(64))
    build(collection)
    collection.delete(["d0", "d5"])
    build(collection)
    assert not collection.search("unique", index="bm25")
    assert not collection.search("filler", index="bm25")
    collection.add([Document("new", "filler")])
    build(collection)
    assert [hit.doc_id for hit in collection.search("filler", index="bm25", k=70)] == ["new"]
