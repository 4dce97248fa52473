"""`add` on the tables that people have: products, tickets, workbooks, databases, queries."""

import csv
import json
from pathlib import Path

import pytest

from retriever import Collection
from tests.support.commands import fail, invoke, misuse, objects, succeed, succeed_silently
from tests.support.sources.tables import write_csv, write_sqlite, write_xlsx

SAY = "say otherwise with --id, --title, --text."
GUESSED = (
    f"note: products.csv: read sku as the id, name as the title, description as the text; {SAY}"
)
NOUNS = ("mug", "lamp", "chair", "kettle", "clock")
COLORS = ("blue", "green", "red", "white", "black")


@pytest.fixture
def products():
    """A hundred products in the working folder as `products.csv`, and as columns."""
    numbers = range(100)
    table = {
        "sku": [f"P-{n:03}" for n in numbers],
        "name": [f"{COLORS[n % 5]} {NOUNS[n // 5 % 5]}".title() for n in numbers],
        "description": [
            f"A {COLORS[n % 5]} {NOUNS[n // 5 % 5]}, size {n}; made to last" for n in numbers
        ],
        "price": [f"{n}.50" for n in numbers],
        "zip": [f"{n:05}" for n in numbers],
    }
    write_csv(Path("products.csv"), table)
    return table


@pytest.fixture
def tickets():
    """A hundred tickets in the working folder as `tickets.jsonl`."""
    rows = [
        {
            "ticket_id": n,
            "subject": f"Ticket about {NOUNS[n % 5]}",
            "body": f"The {NOUNS[n % 5]} {n} broke.",
        }
        for n in range(100)
    ]
    Path("tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def shown(*ids):
    return objects(succeed("show", "library", *ids, "--json"))


def test_a_product_list_is_added_as_it_is_and_found(products):
    result = invoke("add", "library", "products.csv")
    assert result.stdout.startswith("100 new, 0 changed, 0 unchanged, 0 skipped")
    assert result.stderr.splitlines() == [GUESSED]
    rest = {"price": "7.50", "zip": "00007"}
    assert shown("P-007") == [
        {
            "doc_id": "P-007",
            "title": "Red Lamp",
            "text": products["description"][7],
            "metadata": rest,
        }
    ]
    succeed("build", "library", "bm25", "--lexical")
    hits = objects(succeed("search", "library", "size 42", "-k", "1", "--json"))
    assert [hit["doc_id"] for hit in hits] == ["P-042"]


def test_named_columns_are_read_without_a_note(products):
    named = ("--id", "sku", "--title", "name", "--text", "description", "--text", "zip")
    assert succeed_silently("add", "library", "products.csv", *named).startswith("100 new")
    assert shown("P-007")[0]["text"] == products["description"][7] + "\n\n00007"
    assert shown("P-007")[0]["metadata"] == {"price": "7.50"}


def test_types_make_numbers_comparable_and_leave_zip_codes(products):
    notes = invoke("add", "library", "products.csv", "--types", "auto").stderr.splitlines()
    assert notes == [GUESSED, "note: products.csv: read price as numbers."]
    assert shown("P-007")[0]["metadata"] == {"price": 7.5, "zip": "00007"}
    succeed("build", "library", "bm25", "--lexical")
    search = ("search", "library", "mug", "-k", "100", "--json", "--where")
    found = objects(succeed(*search, "price >= 50"))
    assert {hit["doc_id"] for hit in found} == {
        f"P-{n:03}" for n in range(50, 100) if n // 5 % 5 == 0
    }
    assert "CSV files hold text only" in invoke(*search, "zip > 3").stderr


def test_tickets_with_numbers_as_ids_are_added_as_they_are(tickets):
    read = "read ticket_id as the id, subject as the title, body as the text"
    said = f"note: tickets.jsonl: {read}; {SAY}"
    result = invoke("add", "library", "tickets.jsonl")
    assert (result.stdout[:7], result.stderr.splitlines()) == ("100 new", [said])
    assert shown("7") == [
        {"doc_id": "7", "title": "Ticket about chair", "text": "The chair 7 broke.", "metadata": {}}
    ]
    with Path("tickets.jsonl").open("a") as file:
        file.write('{"ticket_id": 100, "subject": "New", "body": null}\n')
    again = ("--id", "ticket_id", "--title", "subject", "--text", "body")
    printed = succeed_silently("add", "library", "tickets.jsonl", *again)
    assert printed.startswith("1 new, 0 changed, 100 unchanged")
    assert shown("100")[0]["text"] == ""


def test_the_same_columns_in_python(products):
    with Collection.create("library") as library:
        added = library.add("products.csv", id="sku", title="name", text=["description", "zip"])
        assert (added.new, library.document("P-007").title) == (100, "Red Lamp")
        assert library.add("products.csv", id="sku", title="name", text="zip").changed == 100
        assert library.document("P-007").text == "00007"


def test_an_unknown_column_is_named_with_those_there_are(products):
    has = "It has: sku, name, description, price, zip."
    for option in ("--id", "--title", "--text"):
        message = fail("add", "library", "products.csv", option, "skuu")
        assert message == f"products.csv has no column 'skuu'. {has}"
    twice = fail("add", "library", "products.csv", "--id", "sku", "--text", "sku")
    assert twice == "Column 'sku' was given twice; give a column for each of them."


def test_a_semicolon_in_a_csv_is_found_and_said(products):
    write_csv(Path("products.csv"), products, ";")
    notes = invoke("add", "library", "products.csv").stderr.splitlines()
    assert notes == ["note: products.csv: cells are separated by semicolons.", GUESSED]
    assert shown("P-007")[0]["text"] == products["description"][7]


def test_rows_without_ids_get_those_of_their_content_and_repeated_ones_are_one_document():
    rows = [("name", "description"), ("a", "one"), ("b", "two"), ("a", "one"), ("b", "two")]
    with Path("n.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    read, repeated = invoke("add", "library", "n.csv").stderr.splitlines()
    made = "read name as the title, description as the text, and made ids from the content"
    assert read == f"note: n.csv: {made}; {SAY}"
    assert repeated.startswith("note: 2 records with the title and text of an earlier one are one")
    assert ": n.csv:4, ...; name a column of ids" in repeated
    Path("m.csv").write_bytes(Path("n.csv").read_bytes())
    again = invoke("add", "library", "n.csv", "m.csv")
    assert again.stdout.startswith("0 new, 0 changed, 2 unchanged, 0 skipped")
    assert "note: 4 records with the title and text of an earlier one" in again.stderr


def test_a_workbook_is_read_by_its_first_sheet_or_another(products):
    write_xlsx(Path("p.xlsx"), products, "Products")
    said = invoke("add", "library", "p.xlsx").stderr
    assert said == GUESSED.replace("products.csv", "p.xlsx") + "\n"
    assert len(shown("P-007")) == 1
    message = fail("add", "library", "p.xlsx", "--sheet", "Other")
    assert message == "No sheet 'Other' in p.xlsx. It has: Products."
    assert fail("add", "library", "products.csv", "--sheet", "Other") == (
        "products.csv is csv; 'sheet' (--sheet) is for an .xlsx file."
    )


def test_a_database_is_read_by_a_query_and_not_written_to(products):
    before = write_sqlite(Path("shop.db"), products, "products").read_bytes()
    sql = "SELECT sku AS id, name AS title, description AS text FROM products WHERE zip < '00010'"
    assert succeed_silently("add", "library", "shop.db", "--sql", sql).startswith("10 new")
    for statement in ("DELETE FROM products", "VACUUM INTO 'copy.db'", "DROP TABLE products"):
        message = fail("add", "library", "shop.db", "--sql", statement)
        assert message.startswith("shop.db: SQLite refuses the query: ")
    assert (Path("shop.db").read_bytes(), Path("copy.db").exists()) == (before, False)
    assert fail("add", "library", "shop.db", "--table", "product") == (
        "No table 'product' in shop.db. It has: products. Did you mean 'products'?"
    )


def test_options_for_tables_are_refused_for_what_has_no_columns(products):
    Path("notes").mkdir()
    Path("notes/a.md").write_text("a note")
    assert fail("add", "library", "notes", "--id", "sku") == (
        "notes is a folder, without columns; 'id' (--id) is for tables."
    )
    assert fail("add", "library", "notes/a.md", "--types", "auto") == (
        "notes/a.md is markdown, without columns; 'types' (--types) is for tables."
    )
    assert misuse("add", "library", "--index-field", "x", "--id", "sku").startswith("Give SOURCES")
    assert misuse("add", "library", "--dataset", "x", "--id", "sku").endswith("without --id.")
    assert not Path("library").exists()


@pytest.fixture
def questions():
    """Two queries in a table with other names."""
    Path("q.csv").write_text("number,question,topic\n1,a kitten purrs,cats\n2,deadline,tax\n")
    return "q.csv"


def test_columns_of_queries_are_named_or_guessed(library, questions):
    search = ("search", library, "--queries", questions, "--json", "-k", "1")
    named = ("--query-id", "number", "--query-text", "question", "--query-text", "topic")
    hits = objects(succeed_silently(*search, *named))
    assert [(hit["query_id"], hit["query"]) for hit in hits] == [
        ("1", "a kitten purrs\n\ncats"),
        ("2", "deadline\n\ntax"),
    ]
    result = invoke(*search)
    assert result.stderr == (
        "note: q.csv: read number as the id, question as the text; say otherwise with --query-id, "
        "--query-text. topic could be an id, too.\n"
    )
    assert [hit["query"] for hit in objects(result.stdout)] == ["a kitten purrs", "deadline"]
    Path("one.csv").write_text("question\na kitten purrs\n")
    result = invoke("search", library, "--queries", "one.csv", "--json", "-k", "1")
    assert "and made ids of the rows' numbers" in result.stderr
    assert objects(result.stdout)[0]["query_id"] == "1"


def test_compare_reads_the_columns_of_its_queries(library, questions):
    Path("qrels.tsv").write_text("query-id\tcorpus-id\tscore\n1\tcat\t1\n2\ttax\t1\n")
    files = ("--queries", questions, "--qrels", "qrels.tsv", "--query-id", "number")
    named = json.loads(succeed("compare", library, *files, "--query-text", "question", "--json"))
    assert named["queries"] == 2
    for option in ("--query-id", "--sql"):
        assert misuse("search", library, "x", option, "number").endswith("are for --queries FILE.")


def test_queries_are_read_from_a_sheet_a_table_or_a_query(library):
    table = {"query_id": ["1", "2"], "text": ["a kitten purrs", "deadline"]}
    write_sqlite(Path("q.db"), table, "asked")
    write_xlsx(Path("q.xlsx"), table, "Asked")
    sql = ("--sql", "SELECT * FROM asked WHERE query_id = '2'")
    for queries, part in (
        ("q.db", ()),
        ("q.db", ("--table", "asked")),
        ("q.db", sql),
        ("q.xlsx", ("--sheet", "Asked")),
    ):
        command = ("search", library, "--queries", queries, *part, "--json", "-k", "1")
        asked = [hit["query"] for hit in objects(succeed_silently(*command))]
        assert asked == table["text"][part == sql :]
    compared = succeed("compare", library, "--queries", "q.db", *sql, "--json")
    assert json.loads(compared)["queries"] == 1
    assert fail("search", library, "--queries", "q.xlsx", *sql) == (
        "q.xlsx is xlsx; 'sql' (--sql) is for an SQLite database."
    )
    both = (*sql, "--table", "asked")
    assert fail("search", library, "--queries", "q.db", *both).startswith("Give either a table")


def test_an_update_reads_columns_as_add_does(products):
    named = ("products.csv", "--id", "sku", "--title", "name", "--text", "description")
    assert succeed("add", "library", *named).startswith("100 new")
    assert "100 unchanged" in succeed("update", "library", *named)


def test_a_column_that_one_cell_makes_text_is_named():
    rows = [
        "id,text,price,size,code",
        "1,a jacket,89,40,7",
        "2,a parka,n/a,M,8",
        "3,a coat,90,42,9",
        "4,a cap,20,44,6",
    ]
    Path("shop.csv").write_text("\n".join(rows) + "\n")
    notes = invoke("add", "shop", "shop.csv", "--types", "auto").stderr.splitlines()
    assert notes == [
        "note: shop.csv: read code as numbers; price is text, as not all of its cells are numbers: "
        "'n/a'; size is text, as not all of its cells are numbers: 'M'."
    ]


def test_the_metadata_of_a_table_may_be_json():
    Path("shop.csv").write_text('id,text,metadata\n1,a mug,"{""price"": 9}"\n2,a lamp,on sale\n')
    succeed("add", "shop", "shop.csv")
    with Collection.open("shop") as collection:
        found = [dict(one.metadata) for one in collection.documents()]
    assert found == [{"price": 9}, {"metadata": "on sale"}]


@pytest.mark.parametrize("option", ["--text", "--title", "--id"])
def test_a_column_of_that_name_may_be_what_is_searched(option):
    Path("shop.csv").write_text('id,text,metadata\n1,a mug,"{""price"": 9}"\n')
    succeed("add", "shop", "shop.csv", option, "metadata")
    with Collection.open("shop") as collection:
        (one,) = collection.documents()
    named = {"--text": one.text, "--title": one.title, "--id": one.doc_id}
    assert named[option] == '{"price": 9}'


@pytest.mark.parametrize("cell", ['{""a"":' * 20_000, '{""a"": NaN}', "[1, 2]", "{"])
def test_metadata_that_is_no_json_object_stays_text(cell):
    Path("shop.csv").write_text(f'id,text,metadata\n1,a mug,"{cell}"\n')
    succeed("add", "shop", "shop.csv")
    with Collection.open("shop") as collection:
        (one,) = collection.documents()
    assert one.metadata == {"metadata": cell.replace('""', '"')}
