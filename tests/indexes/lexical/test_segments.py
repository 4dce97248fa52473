"""A BM25 index is built at a cost that follows the change, and answers like one built at once."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.lexical import bm25, segments
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
        yield


def build(collection):
    return collection.build("bm25", lexical=True, language="none")


def everything(collection):
    found = collection.search_many([*WORDS, "owl moss salt salt"], index="bm25", k=100)
    return [[(hit.doc_id, hit.score) for hit in hits] for hits in found]


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
        assert [sorted(hits) for hits in everything(grown)] == [
            sorted(hits) for hits in everything(once)
        ]
        assert grown.index_info("bm25").rows == len(left)
        assert grown.verify().ok
        assert len(json.loads((folder_of(grown) / "intervals.json").read_text())["intervals"]) < 20


def test_only_changed_intervals_are_read_and_the_files_of_others_are_shared(
    collection, monkeypatch
):
    collection.add(Document(f"d{n}", f"{WORDS[n % 5]} word{n}") for n in range(64))
    build(collection)
    read, write = [], bm25.write

    def counted(folder, language, passages):
        passages = list(passages)
        read.append([passage.key for passage in passages])
        write(folder, language, passages)

    monkeypatch.setattr(bm25, "write", counted)
    before = inodes(folder_of(collection))
    collection.add([Document("new", "owl salt")])
    build(collection)
    assert read == [[65]]
    assert before < inodes(folder_of(collection))
    collection.delete(["d0", "d40"])
    build(collection)
    assert read[1:] == [list(range(2, 17)), [*range(33, 41), *range(42, 49)]]
    build(collection)
    assert len(read) == 3


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
