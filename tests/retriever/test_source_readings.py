"""A source is read as it was last time, unless a call says how."""

import json
import sqlite3
import warnings

import pytest

from indexes.errors import BadRecordsError, FileNote, InputError
from indexes.ingest import batches
from retriever import Collection, HashingEmbedder
from tests.support.commands import succeed
from tests.support.toy import refused

pytestmark = pytest.mark.filterwarnings("ignore::indexes.errors.FileNote")

HEAD = "sku,name,info,year\n"
TYPED = {"id": "sku", "title": "name", "text": ["info"], "types": "auto"}


@pytest.fixture
def table(tmp_path):
    def write(*rows, name="products.csv"):
        path = tmp_path / name
        path.write_text(HEAD + "".join(f"{row}\n" for row in rows))
        return path

    return write


def found(collection):
    return {one.doc_id: (one.title, one.text, one.metadata) for one in collection}


def with_notes(collection, call, *sources, **options):
    """Call a method of a collection; return its result, and what it says of earlier calls."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = getattr(collection, call)(*sources, **options)
    notes = [str(one.message) for one in caught if one.category is FileNote]
    return result, [note for note in notes if "last time" in note]


@pytest.mark.parametrize("call", ["add", "update"])
def test_a_table_is_read_as_last_time_when_a_call_says_nothing(collection, table, call):
    path = table("A1,Lamp,a red lamp,2020", "B2,Desk,a green desk,2021")
    _, notes = with_notes(collection, call, path, **TYPED)
    assert notes == []
    collection.build("floor", HashingEmbedder())
    table("A1,Lamp,a red lamp,2022", "B2,Desk,a green desk,2021", "C3,Chair,a chair,2023")
    _, notes = with_notes(collection, call, path)
    assert notes == [
        f"{path} is read as it was last time: id=sku, title=name, text=info, types=auto"
    ]
    assert found(collection) == {
        "A1": ("Lamp", "a red lamp", {"year": 2022}),
        "B2": ("Desk", "a green desk", {"year": 2021}),
        "C3": ("Chair", "a chair", {"year": 2023}),
    }
    assert collection.build("floor").embedded == (1 if call == "add" else 0)
    assert collection.search("chair", k=1, where="year >= 2023")[0].doc_id == "C3"
    # The same bytes are not read again, and nothing is said of them.
    result, notes = with_notes(collection, call, path)
    assert (result if call == "add" else result.added).unchanged == 3
    assert notes == []
    assert collection.verify().ok


def test_options_that_are_given_replace_all_of_before(collection, table):
    path = table("A1,Lamp,a red lamp,2020")
    collection.update(path, **TYPED)
    _, notes = with_notes(collection, "update", path, id="sku", text=["name", "info"])
    assert notes == []
    expected = {"A1": ("", "Lamp\n\na red lamp", {"year": "2020"})}
    assert found(collection) == expected
    table("A1,Lamp,a red lamp,2021")
    _, (note,) = with_notes(collection, "update", path)
    assert note.endswith("last time: id=sku, text=name + info")
    assert found(collection)["A1"][2] == {"year": "2021"}


def test_each_source_has_its_own_reading(collection, table):
    one = table("A1,Lamp,a red lamp,2020", name="one.csv")
    two = table("B2,Desk,a green desk,2021", name="two.csv")
    three = table("C3,Chair,a chair,2022", name="three.csv")
    collection.update(one, **TYPED)
    collection.update(two, id="name", text="sku")
    collection.update(three)  # guessed
    table("A1,Lamp,a blue lamp,2020", name="one.csv")
    table("B4,Desk,a green desk,2021", name="two.csv")
    _, notes = with_notes(collection, "update", three, two, one)
    assert [note.split(": ", 1)[1] for note in notes] == [
        "id=sku, title=name, text=info, types=auto",
        "id=name, text=sku",
    ]
    assert found(collection)["A1"] == ("Lamp", "a blue lamp", {"year": 2020})
    assert found(collection)["Desk"][1] == "B4"
    assert len(collection) == 3


def test_records_with_a_name_are_read_as_last_time_too(collection):
    rows = [{"key": 7, "body": "an owl"}, {"key": 8, "body": "an elk"}]
    collection.update(rows, source="crm", id="key", text="body")
    _, notes = with_notes(collection, "update", rows[:1], source="crm")
    assert notes == ["The list is read as it was last time: id=key, text=body"]
    assert found(collection) == {"7": ("", "an owl", {})}
    # Without a name, nothing is known of what came before: the columns are guessed.
    collection.add([{"key": 9, "body": "a cow"}], id="key", text="body")
    _, notes = with_notes(collection, "add", [{"key": 10, "body": "a calf"}])
    assert notes == []


def test_a_source_that_had_no_document_for_a_night_is_read_as_before(collection, table):
    path = table("A1,Lamp,a red lamp,2020")
    collection.update(path, **TYPED)
    table()
    collection.update(path, allow_empty=True)
    assert (len(collection), collection.sources()) == (0, {})
    table("A1,Lamp,a red lamp,2024")
    collection.update(path)
    assert found(collection) == {"A1": ("Lamp", "a red lamp", {"year": 2024})}


def test_the_reading_is_kept_with_the_first_documents(collection, table, monkeypatch):
    """A call that is interrupted goes on in the same way."""
    monkeypatch.setattr(batches, "BATCH_RECORDS", 2)
    path = table(*(f"A{number},Lamp,lamp {number},2020" for number in range(6)))

    def interrupt(done, total):
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collection.add(path, **TYPED, progress=interrupt)
    assert len(collection) in range(1, 6)
    collection.add(path)
    assert len(collection) == 6
    assert {one.metadata["year"] for one in collection} == {2020}


def test_a_call_that_is_refused_leaves_no_reading(collection, table):
    path = table("A1,Lamp,a red lamp,2020")
    collection.add(path, id="sku", text="info")
    refused(InputError, "No types 'bad'", collection.add, path, types="bad")
    table("A1,Lamp,a red lamp,2020", "A1,Lamp,a blue lamp,2020")
    refused(BadRecordsError, "A1", collection.add, path, id="sku", text="name")
    table("A1,Lamp,a green lamp,2020")
    collection.add(path)
    assert found(collection)["A1"][1] == "a green lamp"


def test_a_new_reading_of_the_same_documents_is_kept(collection, table):
    path = table("A1,Lamp,a red lamp,new")
    collection.add(path, id="sku", text="info")
    added = collection.add(path, id="sku", text="info", types="auto")
    assert (added.changed, added.unchanged) == (0, 1)
    table("A1,Lamp,a red lamp,2020")
    collection.add(path)
    assert found(collection)["A1"][2] == {"name": "Lamp", "year": 2020}


def test_a_database_is_asked_the_same_query(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as db:
        db.execute("CREATE TABLE items (sku TEXT, info TEXT)")
        db.execute("CREATE TABLE others (sku TEXT, info TEXT)")
        db.execute("INSERT INTO items VALUES ('A1', 'a red lamp'), ('B2', 'a desk')")
    db.close()
    with Collection.create(tmp_path / "c") as collection:
        sql = "SELECT sku AS id, info AS text FROM items WHERE info LIKE '%lamp%'"
        collection.update(tmp_path / "shop.db", sql=sql)
        collection.update(tmp_path / "shop.db")
        assert list(found(collection)) == ["A1"]


def test_the_command_line_reads_a_file_of_a_given_format_again(tmp_path, monkeypatch, table):
    monkeypatch.chdir(tmp_path)
    table("A1,Lamp,a red lamp,2020", name="export.dat")
    columns = ("--id", "sku", "--text", "name", "--text", "info")
    succeed("add", "library", "export.dat", "--format", "csv", *columns)
    for call in ("add", "update"):
        table(f"A1,Lamp,a lamp of {call},2020", name="export.dat")
        printed = succeed(call, "library", "export.dat", "--json")
        assert json.loads(printed.splitlines()[-1])["changed"] == 1
    with Collection.open("library") as collection:
        assert found(collection) == {"A1": ("", "Lamp\n\na lamp of update", {"year": "2020"})}


@pytest.mark.parametrize("call", ["add", "update"])
@pytest.mark.parametrize("name", ["nul\0nul", "missing.csv", "long " * 500])
def test_a_path_that_leads_nowhere_is_named_whichever_call_reads_it(collection, call, name):
    refused(InputError, "No file or folder|cannot be read", getattr(collection, call), name)


def test_a_reading_of_another_kind_of_source_does_not_count(collection, tmp_path, table):
    """A name may stand for a table today, and for a folder or records tomorrow."""
    collection.update(table("A1,Lamp,a red lamp,2020"), source="crm", id="sku", text="info")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "owl.md").write_text("an owl")
    (tmp_path / "b.jsonl").write_text('{"_id": "b", "text": "a cow"}')
    for source in (tmp_path / "notes", tmp_path / "b.jsonl", [{"_id": "r", "text": "an elk"}]):
        _, notes = with_notes(collection, "add", source, source="crm")
        assert notes == []
    assert {"owl.md", "b", "r"} <= set(found(collection))
    # It is still known of tables.
    _, notes = with_notes(
        collection, "add", table("B2,Desk,a desk,2021", name="c.csv"), source="crm"
    )
    assert [note.partition(": ")[2] for note in notes] == ["id=sku, text=info"]
    assert found(collection)["B2"][1] == "a desk"


@pytest.mark.parametrize("call", ["add", "update"])
def test_what_the_last_call_said_counts_though_nothing_had_to_be_read(collection, table, call):
    path = table("A1,Lamp,lamp,new")
    do = getattr(collection, call)
    for types in (None, "auto", None):
        do(path, id="sku", text="info", types=types)
    table("A1,Lamp,lamp,2020")
    _, (note,) = with_notes(collection, call, path)
    assert note.endswith(": id=sku, text=info")
    assert found(collection)["A1"][2] == {"name": "Lamp", "year": "2020"}


def test_columns_may_be_any_iterable(collection):
    rows = [{"sku": "A1", "name": "Lamp", "info": "a red lamp"}]
    for text in (("name", "info"), iter(["name", "info"]), {"name": 1, "info": 2}.keys()):
        collection.add(rows, source="crm", id="sku", text=text)
        _, (note,) = with_notes(collection, "add", rows, source="crm")
        assert note.endswith(": id=sku, text=name + info")
        assert found(collection)["A1"][1] == "Lamp\n\na red lamp"


def test_a_name_of_a_source_is_unicode(collection):
    refused(InputError, "The name of a source is", collection.add, [], source="a\ud800")


def test_a_file_without_an_extension_is_a_kind_of_its_own(collection, table):
    path = table("A1,Lamp,a red lamp,2020", name="export")
    collection.add(path, source="crm", format="csv", id="sku", text="info")
    table("A1,Lamp,a blue lamp,2020", name="export")
    _, (note,) = with_notes(collection, "add", path, source="crm")
    assert note.endswith("last time: format=csv, id=sku, text=info")
    assert found(collection)["A1"][1] == "a blue lamp"
    _, notes = with_notes(collection, "add", [{"_id": "r", "text": "an elk"}], source="crm")
    assert (notes, found(collection)["r"][1]) == ([], "an elk")
