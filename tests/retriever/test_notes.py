"""Tests of notes and errors: empty answers, incomplete indexes, filters, unknown names."""

import shutil
from pathlib import Path

import pytest

from indexes.errors import (
    CollectionError,
    InputError,
    MismatchError,
    UnknownNameError,
    unknown_name,
    unknown_names,
)
from indexes.store import Store
from retriever import Collection, Document, HashingEmbedder, Words, compare
from retriever.embedders import TextReport
from retriever.embedders.base import fingerprint_of
from tests.support.commands import fail, invoke, misuse, objects, succeed, succeed_silently
from tests.support.toy import Axes, build_axes, exactly, ids, refused

NOTHING = "No document matches the filter."
AGE_IS_TEXT = (
    NOTHING + " 'age' is text in this collection, as in age = '{}' (CSV files hold text only)."
)


class CutsOff(Axes):
    """`Axes` that reports texts of more than `max_length` words as truncated."""

    def __init__(self, max_length):
        super().__init__("short")
        self.max_length = max_length
        self.fingerprint = fingerprint_of(kind="axes", max_length=max_length)

    def encode_and_report(self, texts):
        cut = sum(len(text.split()) > self.max_length for text in texts)
        return self.encode_documents(texts), TextReport(texts=len(texts), truncated=cut)

    def report_queries(self, texts):
        return self.encode_and_report(texts)[1]


@pytest.mark.parametrize("name", ["b.txt", "b.md", "A.txt", "a.b.txt"])
def test_a_copy_of_a_text_file_is_another_document(collection, tmp_path, name):
    (tmp_path / "a.txt").write_text("north")
    shutil.copy(tmp_path / "a.txt", tmp_path / name)
    collection.add(tmp_path / "a.txt")
    assert collection.add(tmp_path / name).new == 1
    assert ids(collection.documents()) == ["a.txt", name]


def test_a_copy_among_several_files_is_another_document(collection, tmp_path):
    a, b, c = (tmp_path / name for name in ("a.txt", "b.txt", "c.txt"))
    for file in (a, b, c):
        file.write_text("x")
    collection.add(a, b)
    assert collection.add(a, c).new == 1


def test_a_file_that_cannot_be_read_is_an_input_error(collection):
    file = Path("/proc/self/mem")
    if not file.is_file():
        pytest.skip("no file here that root cannot read")
    message = exactly("/proc/self/mem cannot be read: Input/output error.")
    refused(InputError, message, collection.add, file, format="jsonl")


def notes_of(collection, index):
    """The notes of a comparison of one index."""
    return compare(collection, [index], {"q": "up"}).notes


def test_truncated_texts_are_counted_among_those_embedded_so_far(collection):
    collection.add([Document("all", "north east up")])
    collection.build("short", CutsOff(2))
    note = "'short': of 1 text embedded so far, 1 was cut off at 2 tokens."
    assert notes_of(collection, "short") == (note,)
    collection.add([Document("n", "north")])
    collection.build("short")
    note = "'short': of 2 texts embedded so far, 1 was cut off at 2 tokens."
    assert notes_of(collection, "short") == (note,)
    # A changed document is embedded again; its old text still counts.
    collection.add([Document("all", "north east up up")])
    collection.build("short")
    note = "'short': of 3 texts embedded so far, 2 were cut off at 2 tokens."
    assert notes_of(collection, "short") == (note,)


def test_passages_without_a_known_word_are_counted_where_documents_are_split(tmp_path):
    with Collection.create(tmp_path / "library", split=Words(2)) as collection:
        build_axes(collection, d="north east fog fog fog mist up up")
        note = "'axes': 2 passages have nothing that axes can embed."
        assert notes_of(collection, "axes") == (note,)
        collection.add([Document("d", "north east fog fog up up")])
        collection.build("axes")
        note = "'axes': 1 passage has nothing that axes can embed."
        assert notes_of(collection, "axes") == (note,)


@pytest.fixture
def books(tmp_path, monkeypatch):
    """Two documents: a year that is a number, an age that is text, a size that is either."""
    monkeypatch.chdir(tmp_path)
    metadata = [{"year": 1999, "age": "10", "size": 3}, {"year": 2020, "age": "7", "size": "big"}]
    with Collection.create("books") as collection:
        collection.add([Document(f"d{n}", "a kitten purrs", "", m) for n, m in enumerate(metadata)])
        collection.build("floor", HashingEmbedder())
        yield collection


@pytest.mark.parametrize(
    ("where", "note"),
    [
        ({"yaer": 1999}, f"{NOTHING} None has a field 'yaer'."),
        ({"year": 1999, "yaer": 1, "sise": 2}, f"{NOTHING} None has a field 'yaer'."),
        ({"or": [{"year": 3}, {"sise": {"in": [1]}}]}, f"{NOTHING} None has a field 'sise'."),
        ({"author.name": {"exists": True}}, f"{NOTHING} None has a field 'author.name'."),
        # The field that is missing would fit; the other one is the reason.
        ({"year": 3, "not": {"draft": True}}, NOTHING),
        ({"age": {">=": 5}}, AGE_IS_TEXT.format(5)),
        ({"year": 1999, "age": {"in": ["x", 7.5]}}, AGE_IS_TEXT.format(7.5)),
        ({"age": True}, NOTHING),
        ({"age": "8"}, NOTHING),
        ({"size": 4}, NOTHING),
        ({"year": {">": 2020}}, NOTHING),
    ],
)
@pytest.mark.parametrize("indexed", [False, True])
def test_a_filter_that_matches_nothing_is_explained(books, where, note, indexed):
    if indexed:
        books.index_fields("year", "yaer", "age", "size")
    hits = books.search_many(["a kitten", "purrs"], where=where)
    assert [(len(one), one.notes) for one in hits] == [(0, (note,)), (0, (note,))]


def test_a_filter_that_matches_needs_no_note(books):
    assert books.search("a kitten", where={"year": 1999}).notes == ()
    assert books.search("a kitten", where={"not": {"yaer": 1}}).notes == ()


def test_a_query_without_known_words_is_noted_before_the_filter(compass):
    compass.add([Document("n", "north", metadata={"year": 1})])
    compass.build("axes", Axes())
    unknown = "No known word in 'fog': axes finds nothing for it."
    assert compass.search("fog", index="axes", where={"year": 1}).notes == (unknown,)
    assert compass.search("fog", index="axes", where={"year": 2}).notes == (unknown, NOTHING)


@pytest.mark.usefixtures("books")
def test_the_command_line_explains_a_filter_that_matches_nothing():
    note = f"{NOTHING} None has a field 'yaer'."
    command = ("search", "books", "a kitten", "--where", "yaer = 1999")
    assert invoke(*command).stderr == f"note: {note}\n"
    assert objects(succeed(*command, "--json"))[0]["notes"] == [note]


def test_fields_are_indexed_without_adding_anything(books):
    added = succeed_silently("add", "books", "--index-field", "year", "--index-field", "age")
    assert added == "year, age indexed; books/ has 2 documents\n"
    assert books.info().fields == ("year", "age")
    (added,) = objects(succeed("add", "books", "--index-field", "size", "--json"))
    assert added == {"new": 0, "changed": 0, "unchanged": 0, "skipped": 0, "documents": 2}
    assert books.info().fields == ("year", "age", "size")
    assert fail("add", "nowhere", "--index-field", "year").startswith(
        "nowhere/ is not a collection"
    )
    assert not Path("nowhere").exists()


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--split", "20/5"),
        ("--index-field", "year", "--split", "20/5"),
        ("--index-field", "year", "--format", "csv"),
        ("--index-field", "year", "--skip-bad"),
    ],
)
def test_other_options_of_add_need_sources(options):
    message = "Give SOURCES to add; only --index-field NAME works without."
    assert misuse("add", "books", *options) == message


def test_a_list_of_some_of_many_names_ends_in_dots():
    error = unknown_name("document", "x", "lib/", ["d6", "d5"], more=True)
    assert str(error) == "No document 'x' in lib/. It has: d5, d6, ..."
    assert str(unknown_name("index", "x", "lib/", [])) == "No index 'x' in lib/. It has: none."


@pytest.mark.parametrize(
    ("names", "counted"),
    [
        (["a "], "document 'a '"),
        (["a", "b "], "documents 'a', 'b '"),
        (["a", "b", "c"], "documents 'a', 'b', 'c'"),
        (list("abcdefg"), "documents 'a', 'b', 'c' and 4 more"),
    ],
)
def test_unknown_names_are_counted(names, counted):
    error = unknown_names("document", names, "lib/", ["d"])
    assert str(error) == f"No {counted} in lib/. It has: d."


def test_delete_names_the_unknown_ids(collection):
    collection.add([Document(f"d{n}", "north") for n in range(7)])
    place = f"in {collection.path}/. It has: d0, d1, d2, d3, d4, ..."
    one = exactly(f"No document 'x' {place}")
    refused(UnknownNameError, one, collection.delete, ["x", "d1", "x"])
    refused(UnknownNameError, one, collection.document, "x")
    several = exactly(f"No documents 'x ', 'y', 'z\\n' and 1 more {place}")
    refused(UnknownNameError, several, collection.delete, ["d1", "x ", "y", "d2", "z\n", "v", "x "])
    assert len(collection) == 7


def create_first(monkeypatch, theirs):
    """Let another process create the collection after its folder was checked."""
    create = Store.create

    def create_second(folder, split=None):
        create(folder, theirs).close()
        return create(folder, split)

    monkeypatch.setattr(Store, "create", create_second)


def test_a_collection_that_another_process_creates_first_is_opened(tmp_path, monkeypatch):
    create_first(monkeypatch, dict(Words(20).spec))
    with Collection.open_or_create(tmp_path / "library", split=Words(20)) as collection:
        assert collection.split == Words(20)
    refused(CollectionError, "is not empty", Collection.create, tmp_path / "library")


def test_a_collection_that_another_process_splits_differently_is_refused(tmp_path, monkeypatch):
    create_first(monkeypatch, None)
    folder = tmp_path / "library"
    refused(MismatchError, "splits none", Collection.open_or_create, folder, split=Words(20))


def test_a_folder_in_which_no_collection_can_be_created_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CollectionError) as made:
        Collection.create(tmp_path / "file" / "library")
    with pytest.raises(CollectionError) as opened:
        Collection.open_or_create(tmp_path / "file" / "library")
    assert str(opened.value) == str(made.value)
