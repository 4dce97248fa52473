"""A collection brought up to date: any sequence of updates equals a fresh collection."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.errors import EmptySourceError, LockedError
from retriever import Collection, Document, HashingEmbedder
from tests.support.fresh import lock_holder
from tests.support.toy import Axes, refused

WORDS = ("cat", "dog", "owl", "sea")


def update(collection, *sources, **options):
    report = collection.update(*sources, **options)
    assert collection.verify().ok
    return report


def build(collection):
    collection.build("flat", HashingEmbedder(16))
    collection.build("graph", vectors="flat", ann="HNSW8")
    collection.build("bm25", lexical=True)
    collection.fuse("both", ["flat", "bm25"])


def answers(collection):
    """What each index finds for each word: ids and scores, equal ones in no order."""
    assert all(index.missing == 0 for index in collection.info().indexes)
    return {
        (name, word): sorted((hit.doc_id, round(hit.score, 5)) for hit in hits)
        for name in collection.index_names()
        if name != "both"  # ranks of equal scores are by key
        for word, hits in zip(WORDS, collection.search_many(WORDS, index=name, k=99), strict=True)
    }


def test_an_update_brings_documents_and_then_every_index_up_to_date(collection, tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    for word in WORDS:
        (folder / f"{word}.txt").write_text(f"a {word}")
    collection.add(folder)
    build(collection)
    (folder / "cat.txt").unlink()
    (folder / "dog.txt").write_text("a dog at sea")
    told = []
    report = update(collection, folder, tell=told.append)
    assert (report.ok, report.added.removed, report.added.changed) == (True, 1, 1)
    assert told == [report.added, *report.built.indexes]
    assert [(one.name, one.embedded) for one in report.built.indexes] == [
        ("flat", 1),
        ("graph", 0),
        ("bm25", 0),
    ]
    assert {hit.doc_id for hit in collection.search("sea", index="bm25")} == {"dog.txt", "sea.txt"}
    again = update(collection, folder)
    assert (again.added.unchanged, sum(one.embedded for one in again.built.indexes)) == (3, 0)


def test_a_skipped_record_makes_an_update_partial(collection):
    report = update(collection, [{"id": 1, "text": "one"}, {"id": 2}], source="crm")
    assert (report.ok, report.is_partial, len(collection)) == (False, True, 1)


class Failing(Axes):
    """Fails for all texts with a word, or for a model that is gone."""

    def encode_documents(self, texts):
        if any("dog" in text for text in texts):
            raise RuntimeError("no dogs")
        return super().encode_documents(texts)


def test_the_failure_of_an_index_does_not_stop_the_others(collection):
    collection.add([Document("cat", "north cat")])
    collection.build("first", Axes())
    collection.build("second", Failing("second", words=("east", "north")))
    collection.build("bm25", lexical=True)
    folder = collection.path
    collection.close()
    with Collection.open(folder) as opened:
        opened.use("second", Failing("second", words=("east", "north")))
        report = opened.update([Document("dog", "north dog")], source="crm")
        assert [one.name for one in report.built.indexes] == ["bm25"]
        first, second = report.built.failures
        assert (first.name, first.failed) == ("first", ())
        assert "Give it first: collection.use" in first.why
        assert [one.doc_id for one in second.failed] == ["dog"]
        assert (report.ok, report.is_partial) == (False, False)
        opened.use("first", Axes())
        report = opened.update([Document("dog", "north dog")], source="crm")
        assert (report.ok, report.is_partial) == (False, True)


def test_nothing_is_built_after_an_update_that_is_refused(collection):
    collection.add([Document("cat", "a cat")], source="crm")
    collection.build("flat", HashingEmbedder(16))
    collection.add([Document("dog", "a dog")])
    refused(EmptySourceError, "nothing was removed", collection.update, [], source="crm")
    assert collection.index_info("flat").missing == 1
    assert collection.build_all().ok
    assert collection.index_info("flat").missing == 0
    assert collection.update([], source="crm", allow_empty=True).added.removed == 1


def test_without_documents_there_is_nothing_to_build(collection):
    collection.add([Document("cat", "a cat")], source="crm")
    build(collection)
    report = update(collection, [], source="crm", allow_empty=True)
    assert (report.ok, report.built.indexes, len(collection)) == (True, (), 0)


def test_an_update_waits_for_the_lock_as_long_as_it_is_told(collection):
    with lock_holder(collection.path) as holder:
        refused(LockedError, "being written to by", collection.update, [], source="crm")
        refused(LockedError, None, collection.update, [], source="crm", wait=0.01)
        holder.stdin.close()  # it ends
        added = collection.update([Document("cat", "a cat")], source="crm", wait=60).added
    assert added.new == 1


# A change of one of two folders: what happens to which file, and its new text.
NAMES = st.sampled_from(["a", "b", "c", "d/e", "f"])
CHANGES = st.tuples(
    st.sampled_from(["write", "remove", "rename", "move"]),
    st.integers(0, 1),
    NAMES,
    NAMES,
    st.sampled_from(["a cat", "a dog", "an owl at sea", "the sea, the sea", "!?"]),
)


def change(folders, kind, which, name, other, text):
    path, elsewhere = folders[which] / f"{name}.md", folders[1 - which] / f"{name}.md"
    goal = {"rename": folders[which] / f"{other}.md", "move": elsewhere}.get(kind, path)
    goal.parent.mkdir(parents=True, exist_ok=True)
    if kind == "write":
        path.write_text(text)
    elif path.exists():
        path.unlink() if kind == "remove" else path.rename(goal)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(st.lists(st.lists(CHANGES, min_size=1, max_size=6), min_size=1, max_size=4))
def test_any_sequence_of_changes_and_updates_equals_a_fresh_collection(rounds):
    with tempfile.TemporaryDirectory() as place:
        folders = [Path(place) / "one", Path(place) / "two"]
        for folder in folders:
            folder.mkdir()
            (folder / f"{folder.name}.md").write_text("stays at sea")
        with Collection.create(Path(place) / "library") as collection:
            collection.add(*folders)
            build(collection)
            for changes in rounds:
                for one in changes:
                    change(folders, *one)
                updated = update(collection, *folders)
            with Collection.create(Path(place) / "fresh") as fresh:
                once = update(fresh, *folders)
                build(fresh)
                assert updated.added.skipped_total == once.added.skipped_total
                assert sorted(collection.documents(), key=lambda one: one.doc_id) == sorted(
                    fresh.documents(), key=lambda one: one.doc_id
                )
                assert collection.sources() == fresh.sources()
                assert answers(collection) == answers(fresh)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_updates_of_one_source_at_a_time_equal_a_fresh_collection(tmp_path, order):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        for word in WORDS:
            (folder / f"{folder.name}-{word}.md").write_text(f"a {word}")
        (folder / "both.md").write_text("a cat and a dog")
    with Collection.create(tmp_path / "library") as collection:
        collection.add(*folders, sync=True)
        build(collection)
        (folders[0] / "one-cat.md").unlink()
        (folders[0] / "both.md").unlink()
        (folders[1] / "two-dog.md").write_text("an owl at sea")
        for which in order:
            update(collection, folders[which])
        with Collection.create(tmp_path / "fresh") as fresh:
            update(fresh, *folders)
            build(fresh)
            assert answers(collection) == answers(fresh)
            assert collection.sources() == fresh.sources()
