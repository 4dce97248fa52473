"""Documents known by their sources: what is gone from all of them is deleted, and nothing else."""

import json
import sqlite3
import tempfile
from contextlib import closing
from functools import partial
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.catalog.origins import Origins
from indexes.errors import BadRecordsError, DamageError, EmptySourceError, InputError
from retriever import Collection, Document, HashingEmbedder
from retriever.formats import documents, fingerprints
from tests.support.laws import examples
from tests.support.toy import ids, refused


def counts(added):
    return added.new, added.changed, added.removed, added.unchanged, added.skipped_total


def write(folder, **texts):
    """Write a folder's notes, and remove its others."""
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.stem not in texts:
            path.unlink()
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text)
    return folder


def lines(path, *records):
    path.write_text(
        "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records)
    )
    return path


def texts(collection):
    return {document.doc_id: document.text for document in collection.documents()}


@pytest.fixture
def notes(tmp_path):
    return write(tmp_path / "notes", cat="a cat", dog="a dog")


@pytest.fixture
def wiki(tmp_path):
    return write(tmp_path / "wiki", owl="an owl", elk="an elk")


@pytest.fixture
def read_paths(monkeypatch):
    """The paths that are read from now on; what was written a moment ago counts as settled."""
    monkeypatch.setattr(fingerprints, "SETTLED_NANOSECONDS", 0)
    seen, read = [], documents.read_folder
    # The readers are made before it is known whether they are needed: only reading counts.
    monkeypatch.setattr(
        documents, "read_folder", lambda name, **how: noted(seen, name, partial(read, **how))
    )
    return seen


def noted(seen, name, read):
    seen.append(name)
    yield from read(name)


def test_what_is_gone_from_a_source_is_deleted_and_no_longer_found(collection, notes):
    assert counts(collection.add(notes, sync=True)) == (2, 0, 0, 0, 0)
    collection.build("floor", HashingEmbedder())
    write(notes, cat="a black cat", fox="a fox")
    assert counts(collection.add(notes, sync=True)) == (1, 1, 1, 0, 0)
    assert texts(collection) == {"cat.md": "a black cat", "fox.md": "a fox"}
    assert "dog.md" not in ids(collection.search("a dog", k=9))
    assert counts(collection.add(notes, sync=True)) == (0, 0, 0, 2, 0)
    assert collection.verify().ok


def test_folders_in_one_collection_do_not_delete_each_others_documents(collection, notes, wiki):
    collection.add(notes, sync=True)
    collection.add(wiki, sync=True)
    write(notes, cat="a cat")
    collection.add(notes, sync=True)
    assert set(texts(collection)) == {"cat.md", "owl.md", "elk.md"}
    assert collection.sources() == {str(notes): 1, str(wiki): 2}


def test_what_add_alone_brought_is_known_by_its_source_too(collection, notes, wiki):
    collection.add(notes, wiki)
    write(notes, cat="a cat")
    assert counts(collection.add(notes)) == (0, 0, 0, 1, 0)
    assert counts(collection.add(notes, sync=True)) == (0, 0, 1, 1, 0)
    assert set(texts(collection)) == {"cat.md", "owl.md", "elk.md"}


@pytest.mark.parametrize("together", [True, False])
def test_a_document_of_two_sources_stays_until_it_is_gone_from_both(
    collection, notes, wiki, together
):
    def sync():
        for some in [(notes, wiki)] if together else [(notes,), (wiki,)]:
            collection.add(*some, sync=True)

    write(wiki, cat="a cat", owl="an owl")
    sync()
    write(notes, dog="a dog")
    sync()
    assert set(texts(collection)) == {"cat.md", "dog.md", "owl.md"}
    write(wiki, owl="an owl")
    sync()
    assert set(texts(collection)) == {"dog.md", "owl.md"}


def test_a_document_that_moves_to_another_source_stays_as_it_is(collection, notes, wiki):
    collection.add(notes, wiki, sync=True)
    collection.build("floor", HashingEmbedder())
    (notes / "cat.md").rename(wiki / "cat.md")
    for sources in ((notes, wiki), (wiki, notes)):
        assert counts(collection.add(*sources, sync=True)) == (0, 0, 0, 4, 0)
    assert collection.build("floor").embedded == 0
    assert collection.sources() == {str(notes): 1, str(wiki): 3}


def test_what_came_without_a_source_is_never_deleted(collection, notes):
    collection.add([Document("cat.md", "a cat"), Document("mine", "my own")])
    collection.add(notes, sync=True)
    write(notes, dog="a dog")
    collection.add(notes, sync=True)
    assert set(texts(collection)) == {"cat.md", "dog.md", "mine"}


def test_a_folder_is_the_same_source_however_it_is_spelled(
    collection, notes, tmp_path, monkeypatch
):
    collection.add(notes, sync=True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(notes)
    for spelling in ("notes", "./notes/", "link", tmp_path / "wiki" / ".." / "notes"):
        write(notes, cat="a cat")
        (tmp_path / "wiki").mkdir(exist_ok=True)
        assert counts(collection.add(spelling, sync=True))[2] == 1
        write(notes, cat="a cat", dog="a dog")
        collection.add(notes, spelling, sync=True)
    assert collection.sources() == {str(notes): 2}


def test_iterables_are_known_by_a_name_that_is_given(collection):
    collection.add([Document("a", "one"), Document("b", "two")], sync=True, source="crm")
    added = collection.add([{"id": "a", "text": "one"}], [], sync=True, source="crm")
    assert (counts(added), collection.sources()) == ((0, 0, 1, 1, 0), {"crm": 1})
    needs = r"need a name to be known by next time: give one with --source NAME"
    refused(InputError, needs, collection.add, [Document("a", "one")], sync=True)
    refused(InputError, "expected text, such as 'crm'", collection.add, [], source=" ")


def test_a_source_that_is_missing_or_empty_deletes_nothing_unless_that_is_allowed(
    collection, notes, wiki, tmp_path
):
    table = lines(tmp_path / "table.jsonl", {"id": "x", "text": "one"})
    collection.add(notes, wiki, table, sync=True)
    for path in (*wiki.iterdir(), wiki):
        path.unlink() if path.is_file() else path.rmdir()
    write(notes)
    table.write_text("")
    refused(EmptySourceError, "had 2 before: nothing was removed", collection.add, notes, sync=True)
    refused(EmptySourceError, "had 1 before: nothing was removed", collection.add, table, sync=True)
    refused(InputError, "No file or folder", collection.add, wiki, sync=True)
    assert len(collection) == 5
    added = collection.add(notes, wiki, table, sync=True, allow_empty=True)
    assert (counts(added), len(collection)) == ((0, 0, 5, 0, 0), 0)
    assert (collection.sources(), collection.verify().ok) == ({}, True)
    refused(InputError, "No file", collection.add, wiki, sync=True, allow_empty=True)


def test_a_source_that_cannot_be_read_deletes_nothing(collection, notes, tmp_path):
    (notes / "cat.md").unlink()
    table = lines(tmp_path / "table.jsonl", *({"id": n, "text": "one"} for n in range(3)))
    collection.add(notes, table, sync=True)
    table.write_bytes(b"PK\3\4 an archive")
    write(notes, fox="a fox")
    refused(InputError, "zip archive", collection.add, notes, table, sync=True)
    assert set(texts(collection)) == {"0", "1", "2", "dog.md", "fox.md"}


def test_a_bad_record_keeps_the_document_of_its_id(collection, notes, tmp_path):
    table = lines(tmp_path / "table.jsonl", *({"id": n, "text": f"n {n}"} for n in range(4)))
    collection.add(table, notes, sync=True)
    lines(table, {"id": 0}, {"id": 1, "text": "n 1"})
    (notes / "cat.md").write_bytes(b"not \xff text")
    (notes / "dog.md").unlink()
    refused(BadRecordsError, "no 'text'", collection.add, table, notes, sync=True)
    assert len(collection) == 6
    added = collection.add(table, notes, sync=True, skip_bad=True)
    assert (counts(added), added.kept) == ((0, 0, 3, 1, 2), 0)
    assert texts(collection) == {"0": "n 0", "1": "n 1", "cat.md": "a cat"}


def test_nothing_is_deleted_from_a_source_with_a_record_whose_id_cannot_be_read(
    collection, notes, tmp_path
):
    table = lines(tmp_path / "table.jsonl", *({"id": n, "text": f"n {n}"} for n in range(4)))
    collection.add(table, notes, sync=True)
    lines(table, {"id": 0, "text": "n 0"}, "{not json")
    write(notes, cat="a cat")
    added = collection.add(table, notes, sync=True, skip_bad=True)
    assert (counts(added), added.kept) == ((0, 0, 1, 2, 1), 3)
    assert set(texts(collection)) == {"0", "1", "2", "3", "cat.md"}


def test_of_one_id_with_two_contents_the_first_source_counts_until_it_lacks_it(
    collection, notes, wiki
):
    write(wiki, cat="another cat", owl="an owl")
    added = collection.add(notes, wiki, sync=True, skip_bad=True)
    assert [str(one) for one in added.skipped] == [
        f"{wiki}/cat.md: id 'cat.md' has other contents in {notes}, which counts, as it was there "
        f"before {wiki}"
    ]
    for _ in range(2):
        assert texts(collection)["cat.md"] == "a cat"
        added = collection.add(notes, wiki, sync=True, skip_bad=True)
        assert counts(added) == (0, 0, 0, 3, 1)
    write(notes, dog="a dog")
    assert counts(collection.add(notes, wiki, sync=True)) == (0, 1, 0, 2, 0)
    assert texts(collection)["cat.md"] == "another cat"


# Contents of three sources, by id, and which sources are then brought up to date, in which order.
CONTENTS = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["one", "two"]))
UPDATES = st.lists(st.sampled_from(["p", "q", "r"]), unique=True)
CHANGES = st.tuples(st.sampled_from(["p", "q", "r"]), CONTENTS, UPDATES)


def sync(collection, contents, names):
    """Bring some sources up to date, one after another; return the counts of each."""
    added = []
    for name in names:
        rows = [{"id": doc_id, "text": text} for doc_id, text in contents.get(name, {}).items()]
        how = {"source": name, "sync": True, "skip_bad": True, "allow_empty": True}
        added.append(collection.add(rows, **how))
    return added


@settings(max_examples=examples(12), deadline=None)
@given(st.lists(CHANGES, min_size=2, max_size=4), st.permutations(["p", "q", "r"]))
def test_sources_that_contradict_each_other_come_to_rest_with_the_contents_of_the_first_known(
    changes, order
):
    with tempfile.TemporaryDirectory() as place:
        with Collection.create(f"{place}/library") as collection:
            contents = {}
            for name, content, names in changes:
                contents[name] = content
                sync(collection, contents, names)
            for _ in range(2):  # what the first source has no more goes to the next one
                sync(collection, contents, order)
            for added in sync(collection, contents, reversed(order)):
                assert (added.new, added.changed, added.removed) == (0, 0, 0)
            known = list(collection.sources())
            assert set(known) == {name for name, content in contents.items() if content}
            first = {}
            for name in reversed(known):
                first |= contents[name]
            assert texts(collection) == first
            assert collection.verify().ok


def test_sources_in_separate_updates_do_not_take_turns_with_their_contents(collection, tmp_path):
    old, new = (lines(tmp_path / name, {"id": 1, "text": name}) for name in ("a", "b"))
    how = {"format": "jsonl", "sync": True, "skip_bad": True}
    collection.add(old, **how)
    for _ in range(2):
        added = collection.add(new, **how)
        assert [str(one) for one in added.skipped] == [
            f"{new}:1: id '1' has other contents in {old}, which counts, as it was there before "
            f"{new}"
        ]
        assert counts(collection.add(old, **how)) == (0, 0, 0, 1, 0)
    lines(old, {"id": 1, "text": "edited"})
    assert counts(collection.add(old, **how)) == (0, 1, 0, 0, 0)
    lines(old, {"id": 2, "text": "other"})
    collection.add(old, **how)
    assert counts(collection.add(new, **how)) == (0, 1, 0, 0, 0)
    assert texts(collection) == {"1": "b", "2": "other"}


def test_an_unchanged_source_is_not_read_again(collection, notes, wiki, read_paths):
    collection.add(notes, wiki, sync=True)
    read_paths.clear()
    assert counts(collection.add(notes, wiki, sync=True)) == (0, 0, 0, 4, 0)
    assert read_paths == []
    write(wiki, owl="an owl", elk="an old elk")
    assert counts(collection.add(notes, wiki, sync=True)) == (0, 1, 0, 3, 0)
    assert read_paths == [str(wiki)]
    assert counts(collection.add(notes, wiki, sync=True)) == (0, 0, 0, 4, 0)
    collection.delete(["cat.md"])
    assert counts(collection.add(notes, wiki, sync=True)) == (1, 0, 0, 3, 0)


def test_an_unchanged_source_is_read_if_another_has_changed_its_document(
    collection, notes, wiki, read_paths
):
    collection.add(notes, wiki, sync=True)
    read_paths.clear()
    write(notes, cat="a cat", dog="a dog", owl="another owl")
    added = collection.add(notes, wiki, sync=True, skip_bad=True)
    assert (counts(added), read_paths) == ((0, 1, 0, 3, 1), [str(notes), str(wiki)])


def test_a_folder_that_was_just_written_to_is_read_again(collection, notes):
    with patch.object(fingerprints, "SETTLED_NANOSECONDS", 10**18):
        assert fingerprints.SourceFingerprint([notes], "")() is None
    with patch.object(fingerprints, "SETTLED_NANOSECONDS", 0):
        before = fingerprints.SourceFingerprint([notes], "")()
        (notes / ".hidden.md").write_text("no document")
        assert fingerprints.SourceFingerprint([notes], "")() == before
        (notes / "lost.md").symlink_to("nowhere")
        assert fingerprints.SourceFingerprint([notes], "")() not in (before, None)


def test_a_million_documents_of_a_source_take_a_few_kilobytes(collection):
    catalog, origins = collection._store.catalog, Origins(collection._store.catalog)
    with catalog.writing():
        origins.add("crm", range(1, 1_000_001))
        origins.remove("crm", [5, 999_999])
    assert len(origins.members("crm")) == 999_998
    assert catalog.value("SELECT SUM(LENGTH(bits)) FROM members") < 8_000
    assert origins.without([4, 5, 999_999, 2_000_000]).tolist() == [5, 999_999, 2_000_000]


def test_damaged_members_are_found_and_forgotten_and_no_document_is_lost(collection, notes, wiki):
    collection.add(notes, wiki, sync=True)
    folder = collection.path
    collection.close()
    with closing(sqlite3.connect(folder / "catalog.db")) as db, db:
        db.execute("UPDATE members SET bits = zeroblob(4) WHERE origin = 1")
    with Collection.open(folder) as opened:
        write(notes, cat="a cat")
        refused(DamageError, "documents of source 1 are not", opened.add, notes, sync=True)
        assert [problem.cure for problem in opened.verify().problems] == ["sources"]
        repaired = opened.repair()
        assert (repaired.ok, len(repaired.done)) == (True, 1)
        assert opened.sources() == {str(wiki): 2}
        assert counts(opened.add(notes, wiki, sync=True)) == (0, 0, 0, 3, 0)
        assert len(opened) == 4


def test_a_folder_that_has_only_files_that_are_no_documents_now_deletes_nothing(collection, notes):
    collection.add(notes, sync=True)
    for path in notes.iterdir():
        path.unlink()
    (notes / "table.csv").write_text("id,text\n1,a cat\n")
    refused(EmptySourceError, "has no document", collection.add, notes, sync=True)
    assert len(collection) == 2


def test_a_file_that_is_no_document_makes_no_update_partial(collection, notes):
    (notes / "table.csv").write_text("id,text\n1,a cat\n")
    report = collection.update(notes)
    assert (report.ok, report.added.skipped_total, report.added.no_documents) == (True, 1, 1)
