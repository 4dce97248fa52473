"""What the library says where an answer is empty, a name is wrong or a number needs its words."""

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

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
from retriever.cli import cli
from retriever.embedders import TextReport
from retriever.embedders.base import fingerprint_of
from retriever.indexing.info import index_notes
from tests.support.toy import COMPASS, Axes

NOTHING = "No document matches the filter."


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The command line in a fresh folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        result = CliRunner().invoke(cli, list(arguments), prog_name="retriever")
        assert "Traceback" not in result.output
        return result.exit_code, result.stdout, result.stderr

    return invoke


class CutsOff(Axes):
    """`Axes` that says of texts of more than `max_length` words that they were cut off."""

    def __init__(self, max_length):
        super().__init__("short")
        self.max_length = max_length
        self.fingerprint = fingerprint_of(kind="axes", max_length=max_length)

    def encode_and_report(self, texts):
        cut = sum(len(text.split()) > self.max_length for text in texts)
        return self.encode_documents(texts), TextReport(texts=len(texts), truncated=cut)

    def report_queries(self, texts):
        return self.encode_and_report(texts)[1]


# -- a file that was added under another name ---------------------------------------------------


@pytest.mark.parametrize("name", ["b.txt", "b.md", "A.txt", "a.b.txt"])
def test_a_copy_of_a_text_file_is_another_document(tmp_path, name):
    (tmp_path / "a.txt").write_text("north")
    shutil.copy(tmp_path / "a.txt", tmp_path / name)
    with Collection.create(tmp_path / "library") as collection:
        collection.add(tmp_path / "a.txt")
        assert collection.add(tmp_path / name).new == 1
        assert [document.doc_id for document in collection.documents()] == ["a.txt", name]


def test_names_and_bytes_of_several_files_are_told_apart(tmp_path):
    for name, text in {"a.txt": "x", "b.txt": "x", "c.txt": "x"}.items():
        (tmp_path / name).write_text(text)
    with Collection.create(tmp_path / "library") as collection:
        collection.add(tmp_path / "a.txt", tmp_path / "b.txt")
        assert collection.add(tmp_path / "a.txt", tmp_path / "c.txt").new == 1


def test_a_file_that_cannot_be_read_says_so_in_our_words(tmp_path):
    file = Path("/proc/self/mem")
    if not file.is_file():
        pytest.skip("no file here that root cannot read")
    said = re.escape("/proc/self/mem cannot be read: Input/output error.")
    with Collection.create(tmp_path / "library") as collection, pytest.raises(InputError) as caught:
        collection.add(file, format="jsonl")
    assert re.fullmatch(said, str(caught.value))


# -- what an index lacks ------------------------------------------------------------------------


def test_cut_off_texts_are_counted_among_those_embedded_so_far(tmp_path):
    with Collection.create(tmp_path / "library") as collection:
        collection.add([Document("n", "north"), Document("all", "north east up")])
        collection.build("short", CutsOff(2))
        notes = compare(collection, ["short"], {"q": "up"}).notes
        assert notes == ("'short': of 2 texts embedded so far, 1 was cut off at 2 tokens.",)
        # Its vector is made again, and the old text still counts as one that was embedded.
        collection.add([Document("all", "north east up up")])
        collection.build("short")
        notes = compare(collection, ["short"], {"q": "up"}).notes
        assert notes == ("'short': of 3 texts embedded so far, 2 were cut off at 2 tokens.",)


def test_one_text_that_was_cut_off(tmp_path):
    with Collection.create(tmp_path / "library") as collection:
        collection.add([Document("all", "north east up")])
        collection.build("short", CutsOff(2))
        notes = index_notes(collection.index_info("short"), collection.path, split=False)
        assert notes == ["'short': of 1 text embedded so far, 1 was cut off at 2 tokens."]


def test_what_has_nothing_to_embed_is_a_passage_where_documents_are_split(tmp_path):
    with Collection.create(tmp_path / "library", split=Words(2)) as collection:
        collection.add([Document("d", "north east fog fog fog mist up up")])
        collection.build("axes", Axes())
        assert compare(collection, ["axes"], {"q": "up"}).notes == (
            "'axes': 2 passages have nothing that axes can embed.",
        )
        collection.add([Document("d", "north east fog fog up up")])
        collection.build("axes")
        notes = index_notes(collection.index_info("axes"), collection.path, split=True)
        assert notes == ["'axes': 1 passage has nothing that axes can embed."]


# -- a filter that lets nothing through ---------------------------------------------------------


@pytest.fixture
def books(tmp_path):
    """Two documents: a year that is a number, an age that is text, a size that is either."""
    metadata = [{"year": 1999, "age": "10", "size": 3}, {"year": 2020, "age": "7", "size": "big"}]
    with Collection.create(tmp_path / "books") as collection:
        collection.add(
            [Document(f"d{n}", "a kitten purrs", metadata=some) for n, some in enumerate(metadata)]
        )
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
        (
            {"age": {">=": 5}},
            f"{NOTHING} 'age' is text in this collection, as in age = '5' "
            "(CSV files hold text only).",
        ),
        (
            {"year": 1999, "age": {"in": ["x", 7.5]}},
            f"{NOTHING} 'age' is text in this collection, as in age = '7.5' "
            "(CSV files hold text only).",
        ),
        ({"age": True}, NOTHING),
        ({"age": "8"}, NOTHING),
        ({"size": 4}, NOTHING),
        ({"year": {">": 2020}}, NOTHING),
    ],
)
@pytest.mark.parametrize("indexed", [False, True])
def test_a_filter_that_lets_nothing_through_says_why(books, where, note, indexed):
    if indexed:
        books.index_fields("year", "yaer", "age", "size")
    hits = books.search_many(["a kitten", "purrs"], where=where)
    assert [(len(one), one.notes) for one in hits] == [(0, (note,)), (0, (note,))]


def test_a_filter_that_lets_something_through_needs_no_note(books):
    assert books.search("a kitten", where={"year": 1999}).notes == ()
    assert books.search("a kitten", where={"not": {"yaer": 1}}).notes == ()


def test_a_filter_is_not_blamed_for_a_query_that_finds_nothing(tmp_path):
    with Collection.create(tmp_path / "compass") as compass:
        compass.add(COMPASS)
        compass.add([Document("n", "north", metadata={"year": 1})])
        compass.build("axes", Axes())
        unknown = "No known word in 'fog': axes finds nothing for it."
        assert compass.search("fog", where={"year": 1}).notes == (unknown,)
        assert compass.search("fog", where={"year": 2}).notes == (unknown, NOTHING)


def test_the_command_line_says_why_a_filter_lets_nothing_through(run, books):
    code, _, noted = run("search", "books", "a kitten", "--where", "yaer = 1999")
    assert (code, noted) == (0, f"note: {NOTHING} None has a field 'yaer'.\n")
    code, printed, _ = run("search", "books", "a kitten", "--where", "yaer = 1999", "--json")
    assert json.loads(printed)["notes"] == [f"{NOTHING} None has a field 'yaer'."]


# -- fields indexed later -----------------------------------------------------------------------


def test_fields_are_indexed_without_adding_anything(run, books):
    assert run("add", "books", "--index-field", "year", "--index-field", "age") == (
        0,
        "year, age indexed; books/ has 2 documents\n",
        "",
    )
    assert books.info().fields == ("year", "age")
    code, printed, _ = run("add", "books", "--index-field", "size", "--json")
    added = {"new": 0, "changed": 0, "unchanged": 0, "skipped": 0, "documents": 2}
    assert (code, json.loads(printed)) == (0, added)
    assert books.info().fields == ("year", "age", "size")


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
def test_other_options_of_add_need_sources(run, books, options):
    code, printed, said = run("add", "books", *options)
    assert (code, printed) == (2, "")
    assert said.endswith(
        "Error: Give SOURCES to add; only --index-field NAME does without.\n",
    )


def test_indexing_a_field_makes_no_collection(run):
    code, _, said = run("add", "nowhere", "--index-field", "year")
    assert code == 1
    assert said.startswith("Error: nowhere/ is not a collection")
    assert not Path("nowhere").exists()


# -- names that are not there -------------------------------------------------------------------


def test_some_of_many_names_end_in_dots():
    error = unknown_name("document", "x", "lib/", ["d6", "d5"], more=True)
    assert str(error) == "No document 'x' in lib/. It has: d5, d6, ..."
    assert str(unknown_name("index", "x", "lib/", [])) == "No index 'x' in lib/. It has: none."


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a "], "No document 'a ' in lib/. It has: d."),
        (["a", "b "], "No documents 'a', 'b ' in lib/. It has: d."),
        (["a", "b", "c"], "No documents 'a', 'b', 'c' in lib/. It has: d."),
        (list("abcdefg"), "No documents 'a', 'b', 'c' and 4 more in lib/. It has: d."),
    ],
)
def test_unknown_names_are_counted(names, said):
    assert str(unknown_names("document", names, "lib/", ["d"])) == said


def test_delete_names_the_ids_that_are_not_there(tmp_path):
    with Collection.create(tmp_path / "lib") as collection:
        collection.add([Document(f"d{n}", "north") for n in range(7)])
        place, has = f"{collection.path}/", "It has: d0, d1, d2, d3, d4, ..."
        with pytest.raises(UnknownNameError) as one:
            collection.delete(["x", "d1", "x"])
        assert str(one.value) == f"No document 'x' in {place}. {has}"
        with pytest.raises(UnknownNameError) as several:
            collection.delete(["d1", "x ", "y", "d2", "z\n", "v", "x "])
        assert str(several.value) == (
            f"No documents 'x ', 'y', 'z\\n' and 1 more in {place}. {has}"
        )
        with pytest.raises(UnknownNameError) as shown:
            collection.document("x")
        assert str(shown.value) == f"No document 'x' in {place}. {has}"
        assert len(collection) == 7


# -- two that make one collection ---------------------------------------------------------------


@pytest.fixture
def overtaken(monkeypatch):
    """Between the look at the folder and the making, somebody else makes a collection there."""
    create = Store.create

    def create_second(folder, split=None):
        create(folder, split).close()
        return create(folder, split)

    monkeypatch.setattr(Store, "create", create_second)


@pytest.mark.usefixtures("overtaken")
def test_a_collection_that_another_process_made_first_is_opened(tmp_path):
    with Collection.open_or_create(tmp_path / "library", split=Words(20)) as collection:
        assert collection.split == Words(20)
    with pytest.raises(CollectionError, match="is not empty"):
        Collection.create(tmp_path / "library")


def test_one_that_is_split_in_another_way_is_not_opened(tmp_path, monkeypatch):
    create = Store.create

    def create_second(folder, split=None):
        create(folder, None).close()
        return create(folder, split)

    monkeypatch.setattr(Store, "create", create_second)
    with pytest.raises(MismatchError, match="splits none"):
        Collection.open_or_create(tmp_path / "library", split=Words(20))


def test_a_folder_that_no_collection_can_be_made_in_says_why(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CollectionError) as made:
        Collection.create(tmp_path / "file" / "library")
    with pytest.raises(CollectionError) as opened:
        Collection.open_or_create(tmp_path / "file" / "library")
    assert str(opened.value) == str(made.value)
