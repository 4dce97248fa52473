"""Rows of CSV and TSV: no line is lost, whatever its quotes."""

import gzip
import re
import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from indexes.document import Document
from indexes.errors import BadRecord, FileFormatError, FileNote
from retriever.formats import (
    delimited,
    read_documents,
    read_qrels,
    read_queries,
    read_records,
    write_queries,
)
from retriever.formats.columns.check import requires
from retriever.formats.delimited import read_delimited
from retriever.formats.writing import delimited_line
from tests.support.commands import invoke
from tests.support.laws import examples
from tests.support.sources.records import set_stdin, write
from tests.support.toy import refused

OPEN_QUOTE = 'id\ttext\n1\tplain\n2\t"Quote starts\n3\tother\n4\tends here"\n5\tlast\n'
FIVE = {"1": "plain", "2": '"Quote starts', "3": "other", "4": 'ends here"', "5": "last"}


def read(path):
    return list(read_documents(path))


def documents(path, **format_):
    return {item.doc_id: item.text for item in read_documents(path, **format_)}


def test_quotes_over_rows_of_tsv_are_characters_for_every_reader(tmp_path, monkeypatch):
    assert documents(write(tmp_path / "a.tsv", OPEN_QUOTE)) == FIVE
    assert documents(write(tmp_path / "a.tsv.gz", OPEN_QUOTE)) == FIVE
    assert read_queries(write(tmp_path / "q.tsv", OPEN_QUOTE)) == FIVE
    for raw in (OPEN_QUOTE.encode(), gzip.compress(OPEN_QUOTE.encode())):
        set_stdin(monkeypatch, raw)
        assert documents("-", format="tsv") == FIVE
    judged = 'query-id\tcorpus-id\tscore\nq\t"a\t1\nq\tb\t0\nq\tc"\t1\n'
    assert read_qrels(write(tmp_path / "qrels.tsv", judged)) == {"q": {'"a': 1, "b": 0, 'c"': 1}}


def test_with_skip_bad_a_quote_in_tsv_costs_no_row(tmp_path):
    rows = [f"{number}\ttext {number}" for number in range(1_000)]
    rows[300], rows[655], rows[800] = '300\t"opens', '655\tcloses"', "no cell"
    source = write(tmp_path / "a.tsv", "id\ttext\n" + "\n".join(rows))
    result = invoke("add", str(tmp_path / "library"), str(source), "--skip-bad")
    assert result.stdout.startswith("999 new, 0 changed, 0 unchanged, 1 skipped")
    assert result.stderr == f"note: skipped {source}:802: 1 cell; the header has 2\n"


QUOTED = 'id\ttitle\ttext\n1\tplain\tone\n2\t"a ""b"""\t"x\ty\n\nz"\n3\tlast\t"word"\n'
QUOTED_ROWS = [Document("1", "one", "plain"), Document("2", "x\ty\n\nz", 'a "b"')]
QUOTED_ROWS.append(Document("3", "word", "last"))


@pytest.mark.parametrize("memory", [1, 1 << 20])
@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
def test_quoted_cells_of_tsv_are_read_where_all_rows_agree_and_that_is_noted(
    tmp_path, monkeypatch, name, memory
):
    monkeypatch.setattr(delimited, "SPOOL_BYTES", memory)
    path = write(tmp_path / name, QUOTED)
    with pytest.warns(FileNote) as caught:
        assert list(read_documents(path)) == QUOTED_ROWS
    said = f"{path}:3: cells in quotes were read as in CSV, as every row agrees with that."
    assert [str(one.message) for one in caught] == [said]
    result = invoke("add", str(tmp_path / "library"), str(path))
    assert (result.stdout.split(",")[0], result.stderr) == ("3 new", f"note: {said}\n")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # Every quoted cell is well-formed, but needs no quotes: the quotes are the author's.
        (['1\t"all in quotes"'], {"1": '"all in quotes"'}),
        (['1\t""'], {"1": '""'}),
        # A quote inside a cell: the writer of the file does not quote.
        (['1\t"a ""b"""', '2\t6" wide'], {"1": '"a ""b"""', "2": '6" wide'}),
        (['1\t"a ""b"""', '2\t"never closed'], {"1": '"a ""b"""', "2": '"never closed'}),
        (['1\t"a"b"', "2\tc"], {"1": '"a"b"', "2": "c"}),
        (['1\t"a ""b"""', "2\ta\rb"], {"1": '"a ""b"""', "2": "a\rb"}),
    ],
)
def test_quotes_of_tsv_are_characters_unless_all_rows_agree(tmp_path, rows, expected):
    assert documents(write(tmp_path / "a.tsv", "id\ttext\n" + "\n".join(rows))) == expected


def test_a_bad_row_before_or_after_it_makes_a_quote_of_tsv_a_character(tmp_path):
    bad, quoted = "lost", '1\t"a\nb"'
    for rows in (f"{bad}\n{quoted}\n2\tc", f"{quoted}\n2\tc\n{bad}"):
        path = write(tmp_path / "a.tsv", f"id\ttext\n{rows}")
        kinds = [type(item) for item in read_documents(path)]
        assert (kinds.count(Document), kinds.count(BadRecord)) == (2, 2)


def test_quoted_column_names_make_tsv_quoted_as_csv(tmp_path):
    joined = OPEN_QUOTE.replace("id\ttext", '"id"\t"text"')
    expected = {"1": "plain", "2": "Quote starts\n3\tother\n4\tends here", "5": "last"}
    assert documents(write(tmp_path / "a.tsv", joined)) == expected
    path = write(tmp_path / "b.tsv", '"id"\t"text"\n1\t"open\n2\tb\n')
    refused(FileFormatError, "a quote opened at line 2 is never closed", documents, path)


@pytest.mark.parametrize(
    ("rows", "places"),
    [
        # The quote of line 2 is closed by the one that opens at line 4.
        ('1,"open\n2,b\n3,"c"\n4,d\n', {2: "in line 4", 3: Document, 4: Document, 5: Document}),
        # The row that the quotes join has too many cells.
        ('1,"open\n2,b\n3,"c\n4,d\n', {2: "in line 4", 3: Document, 4: "never closed"}),
        ('1,"open\n2,b",x\n3,c\n', {2: "3 cells; the header has 2", 3: "3 cells", 4: Document}),
    ],
)
def test_of_rows_that_a_quote_in_csv_joins_only_its_own_is_bad(tmp_path, rows, places):
    path = write(tmp_path / "a.csv", "id,text\n" + rows)
    if "never closed" in places.values():
        refused(FileFormatError, "a quote opened at line 4 is never closed", read, path)
        return
    found = {int(place.rpartition(":")[2]): item for place, item in read_records(path)}
    assert list(found) == list(places)
    for place, expected in places.items():
        if expected is Document:
            assert isinstance(found[place], Document)
        else:
            assert expected in found[place].reason


def test_any_number_of_bad_rows_of_several_lines_is_read(tmp_path):
    path = write(tmp_path / "a.csv", "id,text\n" + '1,"opens\n2,"x",y\n' * 30_000)
    kinds = [type(item) for item in read(path)]
    assert kinds == [BadRecord] * 60_000


def test_a_quoted_cell_of_csv_that_holds_many_rows_is_a_forgotten_quote(tmp_path):
    rows = "".join(f"{number},text\n" for number in range(400))
    path = write(tmp_path / "a.csv", f'id,text\na,"opens\n{rows}b,closes"\nc,last\n')
    bad, *others = read_documents(path)
    assert bad == BadRecord(
        f"{path}:2",
        "its quoted cell holds 401 lines that look like rows; is a quote not closed or not "
        "doubled? If it is right, quote the column names, too",
    )
    assert [other.doc_id for other in others[:-2]] == [f"{number}" for number in range(400)]
    assert others[-1] == Document("c", "last")
    declared = path.read_text().replace("id,text", '"id","text"')
    assert list(documents(write(tmp_path / "b.csv", declared))) == ["a", "c"]


def test_a_quoted_cell_of_csv_that_holds_a_few_rows_is_noted_once(tmp_path):
    path = write(tmp_path / "a.csv", OPEN_QUOTE.replace("\t", ",") + 'a,"x\n,\n,"\n')
    said = f"{path}:3: its quoted cell holds 2 lines that look like rows; is a quote not closed"
    with pytest.warns(FileNote, match=rf"^{re.escape(said)}") as caught:
        assert list(documents(path)) == ["1", "2", "5", "a"]
    assert len(caught) == 1
    declared = write(tmp_path / "b.csv", path.read_text().replace("id,text", '"id","text"'))
    assert list(documents(declared)) == ["1", "2", "5", "a"]


def test_long_quoted_texts_of_csv_are_cells(tmp_path):
    text = "Dear Sir, hello.\nIt rains\n, and, more\n\n" * 100
    assert documents(write(tmp_path / "a.csv", f'id,text\na,"{text}"\n')) == {"a": text}
    queries = {"a": "\n".join(f"{number},text" for number in range(50)), "b": "c"}
    write_queries(tmp_path / "q.csv", queries)
    assert read_queries(tmp_path / "q.csv") == queries


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_carriage_returns_alone_as_line_ends_are_refused(tmp_path, ending):
    raw = b"id,text\r1,a\r2,b\r".replace(b",", b"\t" if ending == "tsv" else b",")
    message = r"has carriage returns alone as line ends\. Save it with line feeds"
    refused(FileFormatError, message, documents, write(tmp_path / f"a.{ending}", raw))


def rows_of(raw, delimiter):
    """Return (line, cells or None if bad) of every row; notes are ignored."""
    lines = raw.encode().splitlines(keepends=True) if "\r" not in raw else None
    lines = lines or [line for line in re.split(rb"(?<=\n)", raw.encode()) if line]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FileNote)
        rows = list(read_delimited(lines, "f", delimiter, requires((("id",), ("text",)))))
    return [
        (int(place.rpartition(":")[2]), None if isinstance(row, BadRecord) else row)
        for place, row in rows
    ]


def unquoted(cell):
    return cell[1:-1].replace('""', '"') if re.fullmatch('(?s)".*"', cell) else cell


def layouts(cells):
    """Return files of two columns: (rows, line end, whether the last line ends)."""
    rows = st.lists(st.tuples(cells.map("x".__add__) | cells, cells), min_size=1, max_size=6)
    return st.tuples(rows, st.sampled_from(["\n", "\r\n"]), st.booleans())


@given(layouts(st.text('ab" ,', min_size=1, max_size=8)))
@example(([("2", '"opens'), ("3", "x"), ("4", 'closes"')], "\n", True))
@example(([("2", '"a ""b"""'), ("3", "x")], "\r\n", False))
@settings(max_examples=examples(200), deadline=None)
def test_every_line_of_tsv_is_a_row_with_its_cells(layout):
    rows, end, ended = layout
    raw = end.join(["id\ttext", *("\t".join(row) for row in rows)]) + end * ended
    found = rows_of(raw, "\t")
    assert [line for line, _ in found] == list(range(2, len(rows) + 2))
    cells = [(row.get("id", ""), row["text"]) for _, row in found]
    assert cells in (rows, [(unquoted(first), unquoted(second)) for first, second in rows])


@given(layouts(st.text('ab" \t\r', max_size=8) | st.text('ab" \n\r', max_size=8)))
@settings(max_examples=examples(200), deadline=None)
def test_quoted_cells_of_tsv_are_read_back(layout):
    rows, end, ended = layout
    rows = [row for row in rows if all(row) and ("\t" in row[0]) + ("\n" in row[1]) < 2]
    rows = [row for row in rows if ("\n" in row[0]) + ("\t" in row[1]) < 2]
    lines = [delimited_line(row, "\t", "") for row in [("id", "text"), *rows]]
    found = rows_of(end.join(lines) + end * ended, "\t")
    assert [(row["id"], row["text"]) for _, row in found] == rows


@given(st.lists(st.text('a1" \r,\t', max_size=9), max_size=9), st.sampled_from([",", "\t"]))
@settings(max_examples=examples(300), deadline=None)
def test_every_line_is_in_one_row_or_is_bad_or_blank(lines, delimiter):
    raw = "\n".join([f"id{delimiter}text", *lines])
    try:
        rows = rows_of(raw, delimiter)
    except FileFormatError:
        # A quote that is never closed.
        assert (delimiter, '"' in raw) == (",", True)
        return
    covered = [
        line + after
        for line, row in rows
        for after in range(1 + sum(cell.count("\n") for cell in (row or {}).values()))
    ]
    assert len(covered) == len(set(covered))
    blank = {number for number, line in enumerate(lines, 2) if not line.strip("\r")}
    assert set(range(2, len(lines) + 2)) - set(covered) <= blank
