"""Tests of notes and errors: empty answers, incomplete indexes, filters, unknown names."""

import shutil
from pathlib import Path

import pytest

from indexes.catalog.filters.conditions import Exists, FieldCondition, OneOf
from indexes.errors import (
    CollectionError,
    InputError,
    UnknownNameError,
    unknown_name,
    unknown_names,
)
from indexes.store import Store
from retriever import Collection, Document, HashingEmbedder, Words, compare
from retriever.embedders import TextReport
from retriever.embedders.base import fingerprint_of
from retriever.search.filter_notes import filter_notes
from retriever.search.where_parser import parse_where
from tests.support.commands import fail, invoke, misuse, objects, succeed, succeed_silently
from tests.support.toy import Axes, build_axes, exactly, ids, refused

NOTHING = "No document matches the filter."
CSV = " (CSV files hold text only, unless added with --types auto)."
AGE_IS_TEXT = NOTHING + " 'age' is text in this collection, as in age = '{}'" + CSV
MIXED = " 'size' is text or a number in this collection."
YEAR_IS_A_NUMBER = "'year' is a number in this collection, as in year = 1999."

NO_YAER = "None has a field 'yaer'. Similar: 'year'."


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
    """Two documents: a number, a text, what is either, and a boolean."""
    monkeypatch.chdir(tmp_path)
    metadata = [
        {"year": 1999, "age": "10", "size": 3, "new": False, "none": None},
        {"year": 2020, "age": "7", "size": "big", "new": True, "none": "x"},
    ]
    with Collection.create("books") as collection:
        collection.add([Document(f"d{n}", "a kitten purrs", "", m) for n, m in enumerate(metadata)])
        collection.build("floor", HashingEmbedder())
        yield collection


@pytest.mark.parametrize(
    ("where", "note"),
    [
        ({"yaer": 1999}, f"{NOTHING} {NO_YAER}"),
        ({"year": 1999, "yaer": 1, "sise": 2}, f"{NOTHING} {NO_YAER}"),
        (
            {"or": [{"year": 3}, {"sise": {"in": [1]}}]},
            f"{NOTHING} None has a field 'sise'. Similar: 'size'.",
        ),
        ({"author.name": {"exists": True}}, f"{NOTHING} None has a field 'author.name'."),
        # The field that is missing would fit; the other one is the reason.
        ({"year": 3, "not": {"draft": True}}, NOTHING),
        ({"age": {">=": 5}}, AGE_IS_TEXT.format(5)),
        ({"year": 1999, "age": {"in": ["x", 7.5]}}, AGE_IS_TEXT.format(7.5)),
        ({"age": {"in": ["x", 7.5, "y"]}}, AGE_IS_TEXT.format(7.5)),
        ({"age": True}, NOTHING + " 'age' is text in this collection" + CSV),
        ({"year": "1999"}, f"{NOTHING} {YEAR_IS_A_NUMBER}"),
        *(
            ({"year": text}, NOTHING + " 'year' is a number in this collection.")
            for text in ({">=": "many"}, "005", "1e400", "1_000")
        ),
        ({"year": {"in": ["1999", 3]}}, f"{NOTHING} {YEAR_IS_A_NUMBER}"),
        (
            {"new": "true"},
            NOTHING + " 'new' is true or false in this collection, as in new = true.",
        ),
        ({"new": 1}, NOTHING + " 'new' is true or false in this collection."),
        ({"size": True}, NOTHING + MIXED),
        ({"year": None}, NOTHING),
        # It matches a document by its other value: the year is the reason.
        ({"age": {"in": ["7", 7]}, "year": 3}, NOTHING),
        ({"size": {"in": [None, True]}, "year": 3}, NOTHING + MIXED),
        ({"none": {"in": [None, 7]}, "year": 3}, NOTHING),
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
    assert books.search("a kitten", where={"not": {"year": 1}}).notes == ()
    assert books.search("a kitten", where={"or": [{"year": 1999}, {"age": "8"}]}).notes == ()


def test_a_long_list_of_values_asks_for_each_type_once():
    asked = []

    def fits(where):
        asked.append(where)
        return where in (Exists(("n",)), FieldCondition(("n",), ">=", ""))

    many = OneOf(("n",), tuple(range(500)))
    assert filter_notes(fits, many, list) == (
        f"{NOTHING} 'n' is text in this collection, as in n = '0'{CSV}",
    )
    assert len(asked) < 10


NO_EFFECT = "A condition of the filter has no effect."
OTHER_TYPE = "A condition of the filter asks for another type than its field has."
NO_DOCUMENT = NO_YAER.replace("None", "No document")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not yaer = 1", NO_DOCUMENT),
        ("year = 1999 or yaer = 1", NO_DOCUMENT),
        ("year = 1999 and yaer not exists", NO_DOCUMENT),
        ("age != 10", AGE_IS_TEXT.format(10)),
        ("not (age in (10, 11) and year > 1)", AGE_IS_TEXT.format(10)),
        ("year = 1999 or age < 8", AGE_IS_TEXT.format(8)),
    ],
)
def test_a_condition_without_effect_is_noted_where_documents_match(books, text, reason):
    effect = NO_EFFECT if "No document has" in reason else OTHER_TYPE
    note = f"{effect} {reason.removeprefix(NOTHING).strip()}"
    for _ in range(2):
        hits = books.search("a kitten", where=parse_where(text))
        assert (len(hits) > 0, hits.notes) == (True, (note,))
    books.add([Document("d9", "new", metadata={"yaer": 3, "age": 3})])
    books.build("floor")
    assert books.search("a kitten", where=parse_where(text)).notes == ()


@pytest.mark.parametrize(
    "text",
    [
        "not yaer = 1",
        "not (year = 1999 and yaer = 2)",
        "year > 3 and not yaer in (3)",
        "year = 1 or not yaer > 3",
        "not not not yaer = 1",
        "not yaer != 1",
        "not age = 10",
        "age != 10",
        "not author.name = x",
        "year != '1999'",
        "not new = 1",
    ],
)
def test_documents_are_not_deleted_because_none_can_meet_a_negated_condition(books, text):
    message = fail("delete", "books", "--where", text)
    assert message.startswith("Nothing was deleted: ")
    assert message.endswith(
        (
            "A condition on it is met by no document, and its negation by every one.",
            "A value of another type equals none, and differs from that of every document.",
        )
    )
    refused(InputError, exactly(message), books.delete, where=parse_where(text))
    assert len(books) == 2


@pytest.mark.parametrize(
    ("text", "deleted", "note"),
    [
        ("yaer = 1", 0, f"{NOTHING} {NO_YAER}"),
        ("yaer != 1", 0, f"{NOTHING} {NO_YAER}"),
        ("yaer not in (1)", 0, f"{NOTHING} {NO_YAER}"),
        ("year = 1999 and age >= 5", 0, AGE_IS_TEXT.format(5)),
        ("year = 1999 or yaer = 1", 1, f"{NO_EFFECT} {NO_DOCUMENT}"),
        ("not year = 1999", 1, None),
        # 7 has no effect, but the condition has.
        ("age not in (7, '7')", 1, None),
    ],
)
@pytest.mark.usefixtures("books")
def test_a_deletion_says_which_condition_had_no_effect(text, deleted, note):
    result = invoke("delete", "books", "--where", text)
    assert result.stderr == (f"note: {note}\n" if note else "")
    assert result.stdout.startswith(f"deleted {deleted} document")


def test_indexing_a_field_that_no_document_has_is_noted(books):
    result = invoke("add", "books", "--index-field", "yaer", "--index-field", "year")
    assert result.stderr == f"note: {NO_DOCUMENT}\n"
    assert books.field_notes("yaer", "year") == (NO_DOCUMENT,)


@pytest.fixture
def flat(tmp_path):
    """A field named `a.b`, one named `c.d` or nested, one nested only, and odd names."""
    metadata = [
        {"a.b": "x", "c.d": 1},
        {"c": {"d": 1}, "e": {"f": 1}, "Größe 2": 1, 'q"': {"r.s": 1}},
    ]
    with Collection.create(tmp_path / "flat") as collection:
        collection.add([Document(f"d{n}", "purrs", "", m) for n, m in enumerate(metadata)])
        collection.build("floor", HashingEmbedder())
        yield collection


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"a.b" = x', ["d0"]),
        ("'a.b' = x", ["d0"]),
        ('not "a.b" = x', ["d1"]),
        ('"c.d" = 1', ["d0"]),
        ('"c"."d" = 1', ["d1"]),
        ('c."d" = 1', ["d1"]),
        ("e.f = 1", ["d1"]),
        ('"Größe 2" = 1', ["d1"]),
        ("'q\"'.'r.s' = 1", ["d1"]),
    ],
)
def test_quoted_names_are_told_from_paths(flat, text, found):
    where = parse_where(text)
    assert ids(flat.search("purrs", where=where)) == found
    assert succeed_silently("search", str(flat.path), "purrs", "--where", text)
    flat.index_fields(*where.get("not", where))
    assert ids(flat.search("purrs", where=where)) == found
    assert flat.delete(where=where) == 1


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("a.b = x", ('"a.b"', '"a"."b"')),
        ("not a.b = x", ('"a.b"', '"a"."b"')),
        ("c.d = 1 or e.f = 1", ('"c.d"', '"c"."d"')),
        ("c.d exists", ('"c.d"', '"c"."d"')),
        ("'q\"' exists and a.b in (x)", ('"a.b"', '"a"."b"')),
    ],
)
def test_a_name_with_two_meanings_is_refused_with_both_spellings(flat, text, ways):
    message = fail("search", str(flat.path), "purrs", "--where", text)
    assert "has two meanings" in message
    assert message.endswith(f"For the first, write {ways[0]}; for the second, write {ways[1]}.")
    where = parse_where(text)
    refused(InputError, exactly(message), flat.search, "purrs", where=where)
    refused(InputError, exactly(message), flat.delete, where=where)
    refused(InputError, exactly(message), flat.filter_notes, where)
    assert fail("delete", str(flat.path), "--where", text) == message
    assert len(flat) == 2
    refused(InputError, "has two meanings", flat.index_fields, "a.b")


def test_labels_with_dots_are_found_inside_longer_paths(flat):
    flat.add([Document("d2", "purrs", "", {"x": {"y.z": {"w": 1}}, "l.m": {"n.o": 1}, "p.q": 1})])
    for name, other in [("x.y.z.w", 'x."y.z".w'), ("l.m.n.o", '"l.m"."n.o"')]:
        refused(InputError, f"write {other};", flat.search, "purrs", where={name: 1})
    # Another field begins with p.q; nothing is inside it.
    assert "None has a field" in flat.search("purrs", where={"p.q.r": 1}).notes[0]


def test_a_query_without_known_words_is_noted_before_the_filter(compass):
    compass.add([Document("n", "north", metadata={"year": 1})])
    compass.build("axes", Axes())
    unknown = "No known word in 'fog': axes finds nothing for it."
    assert compass.search("fog", index="axes", where={"year": 1}).notes == (unknown,)
    assert compass.search("fog", index="axes", where={"year": 2}).notes == (unknown, NOTHING)


@pytest.mark.usefixtures("books")
def test_the_command_line_explains_a_filter_that_matches_nothing():
    note = f"{NOTHING} {NO_YAER}"
    command = ("search", "books", "a kitten", "--where", "yaer = 1999")
    assert invoke(*command).stderr == f"note: {note}\n"
    assert objects(succeed(*command, "--json"))[0]["notes"] == [note]


def test_fields_are_indexed_without_adding_anything(books):
    added = succeed_silently("add", "books", "--index-field", "year", "--index-field", "age")
    assert added == "year, age indexed; books/ has 2 documents\n"
    assert books.info().fields == ("year", "age")
    (added,) = objects(succeed("add", "books", "--index-field", "size", "--json"))
    assert added == {
        "new": 0,
        "changed": 0,
        "unchanged": 0,
        "removed": 0,
        "skipped": 0,
        "documents": 2,
    }
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


def test_an_empty_collection_that_another_process_created_is_split_as_asked(tmp_path, monkeypatch):
    create_first(monkeypatch, None)
    with Collection.open_or_create(tmp_path / "library", split=Words(20)) as collection:
        assert collection.split == Words(20)


def test_a_folder_in_which_no_collection_can_be_created_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CollectionError) as made:
        Collection.create(tmp_path / "file" / "library")
    with pytest.raises(CollectionError) as opened:
        Collection.open_or_create(tmp_path / "file" / "library")
    assert str(opened.value) == str(made.value)


@pytest.fixture
def three(tmp_path, monkeypatch):
    """Thirty documents in `axes`, `words` and `both`, a fusion of depth 10."""
    monkeypatch.chdir(tmp_path)
    with Collection.create("three") as collection:
        collection.add(Document(f"d{n}", f"north word{n}") for n in range(30))
        collection.build("floor", HashingEmbedder())
        collection.build("words", lexical=True)
        yield collection


@pytest.mark.parametrize("query", ["zebra", "飞机", "zebra xylophone"])
def test_a_query_without_a_word_of_any_document_is_noted_by_bm25_and_its_fusions(three, query):
    note = f"No known word in {query!r}: words finds nothing for it."
    assert three.search(query, index="words").notes == (note,)
    three.fuse("both", ["floor", "words"])
    assert note in three.search(query, index="both").notes
    assert [hits.notes for hits in three.search_many(["north", query], index="words")] == [
        (),
        (note,),
    ]
    assert invoke("search", "three", query, "-i", "words").stderr == f"note: {note}\n"


def test_without_a_name_the_fusion_answers_or_else_all_indexes(three):
    refused(
        InputError,
        r"Say which index to search with -i \(index\)\. three/ has: floor, words",
        three.search,
        "x",
    )
    all_of_them = succeed("search", "three", "north", "--json")
    assert {hit["index"] for hit in objects(all_of_them)} == {"floor", "words"}
    assert "found by both" in succeed_silently("search", "three", "word3")
    three.fuse("both", ["floor", "words"])
    assert three.search("word3") == three.search("word3", index="both")
    answer = invoke("search", "three", "word3", "--json")
    assert {hit["index"] for hit in objects(answer.stdout)} == {"both"}
    note = "note: '{}', the newest fusion, answers; -i INDEX selects another.\n"
    assert answer.stderr == note.format("both")
    three.fuse("again", ["words", "both"])
    refused(InputError, "Say which index to search with -i", three.search, "x")
    assert invoke("search", "three", "word3").stderr == note.format("again")
    three.cascade("last", "words", "floor")
    assert three.default_indexes() == ["again"]


def test_hits_that_the_depth_of_a_combination_cuts_off_are_noted(three):
    three.fuse("both", ["floor", "words"], depth=10)
    three.cascade("ranked", "both", "floor", depth=100)
    for index in ("both", "ranked"):
        hits = three.search("north", index=index, k=25)
        assert 10 <= len(hits) < 25
        assert hits.notes == (
            f"'{index}' found {len(hits)} of 25: its parts return 10 documents each (its depth)."
            " For more, combine them with a larger depth.",
        )
        assert three.search("north", index=index, k=10).notes == ()
    three.fuse("deep", ["floor", "words"])
    assert (
        len(three.search("north", index="deep", k=1000)),
        three.search("north", index="deep", k=1000).notes,
    ) == (30, ())
