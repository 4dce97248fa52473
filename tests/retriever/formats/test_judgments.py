"""Queries and judgments: reading, writing, and the errors of bad lines."""

import math
import re
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from indexes.errors import BadRecordsError, FileFormatError, FileNote, InputError
from retriever.formats import read_qrels, read_queries, write_qrels, write_queries
from tests.support.commands import invoke, succeed
from tests.support.laws import examples
from tests.support.sources.records import TREC_IDS, reasons_by_place, set_stdin, write
from tests.support.toy import refused

QUERIES = {"q2": "why does my cat hum?", "1": "second"}
QRELS = {"q2": {"cat": 2, "car": 0}, "1": {"tax": -1}}

FILLED = st.text(min_size=1).filter(str.strip)
GRADES = st.integers(min_value=-(10**6), max_value=10**6)


@pytest.mark.parametrize("name", ["_id", "query_id", "qid", "id"])
@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
def test_queries_of_json_lines_in_their_order(tmp_path, name, ending):
    lines = f'{{"{name}": "q2", "text": "why does my cat hum?", "title": 5}}\n\n'
    lines += f'{{"{name}": 1, "text": "second"}}\n'
    assert list(read_queries(write(tmp_path / f"q.{ending}", lines)).items()) == [*QUERIES.items()]


@pytest.mark.parametrize(("ending", "delimiter"), [("csv", ","), ("tsv", "\t"), ("tsv.gz", "\t")])
def test_queries_of_rows_under_a_header_and_of_parquet(tmp_path, ending, delimiter):
    rows = [["qid", "text"], ["q2", "why does my cat hum?"], ["1", "second"]]
    path = write(tmp_path / f"q.{ending}", "\n".join(delimiter.join(row) for row in rows))
    assert read_queries(path) == QUERIES
    path = tmp_path / "q.parquet"
    pq.write_table(pa.table({"_id": list(QUERIES), "text": list(QUERIES.values())}), path)
    assert read_queries(path) == QUERIES


@pytest.mark.parametrize("ending", ["txt", "txt.gz"])
def test_a_line_of_text_is_a_query_with_its_number_for_an_id(tmp_path, ending):
    path = write(tmp_path / f"q.{ending}", "\ufefffirst query \r\n\r\n third\n")
    assert read_queries(path) == {"1": "first query", "3": "third"}


LINES = "{0}why does my cat hum?\n{1}second: 3:30\n"
MARKS = {"\t": "a tab", ":": "a colon", "|": "a bar", ";": "a semicolon", ", ": "a comma"}


@pytest.mark.parametrize("ids", [("q2", "1"), ("51", "7"), ("MB-01/x", "MB-02/x")])
@pytest.mark.parametrize("mark", MARKS)
def test_an_id_at_the_start_of_every_line_of_text_is_the_id_of_the_query(tmp_path, mark, ids):
    path = write(tmp_path / "q.txt", LINES.format(*(one + mark for one in ids)))
    said = f"{path}: every line was read as a query id, {MARKS[mark]} and the text of the query."
    with pytest.warns(FileNote, match=f"^{re.escape(said)}$"):
        queries = read_queries(path)
    assert queries == dict(zip(ids, ["why does my cat hum?", "second: 3:30"], strict=True))


def test_the_note_on_ids_of_queries_is_that_of_the_command_line(tmp_path):
    path, corpus = write(tmp_path / "q.txt", "51:kitten\n"), tmp_path / "corpus.jsonl"
    succeed("add", str(tmp_path / "library"), str(write(corpus, '{"id": "a", "text": "kitten"}')))
    succeed("build", str(tmp_path / "library"), "words", "--lexical")
    found = invoke("search", str(tmp_path / "library"), "--queries", str(path), "-i", "words")
    said = "every line was read as a query id, a colon and the text of the query."
    assert (found.exit_code, f"note: {path}: {said}\n" in found.stderr) == (0, True)


@pytest.mark.parametrize(
    "texts",
    [
        ["why: because", "what is love"],
        ["Java: how to sort"],
        ["yes, it is", "no, it is not"],
        ["a: b", "a: c"],
        ["12:30 train", "12:30 bus"],
        ["two words: one", "2 words: more"],
        ["http://a.org/1", "second"],
        # Numbers of which one text has none, several have the same, or that one text has.
        ["1 in 5 million", "two in 5 million", "3 in 5 million"],
        ["12 angry men", "12 monkeys"],
        ["1 a", "2 b", "1 c"],
        ["2 fast 2 furious"],
        ["B6 excess", "vitamin B12 deficiency"],
        ["A1 roads", "B2 roads"],
        ["1.5 mm", "2.5 mm"],
        ["2019", "2020"],
    ],
)
def test_lines_of_text_that_do_not_all_begin_with_an_id_are_numbered(tmp_path, texts):
    queries = read_queries(write(tmp_path / "q.txt", "\n".join(texts)))
    assert queries == {str(number): text for number, text in enumerate(texts, 1)}


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["1\tone", "2 two"], ":2 has 0 tabs"),
        (["one", "2\ttwo"], ":1 has 0 tabs"),
        (["1\tone\tmore", "2\ttwo\tmore"], ":1 has 2 tabs"),
        (["what is\tlove"], ":1 begins with spaces in its id"),
        (["x" * 65 + "\tlove"], ":1 begins with a long id"),
        (["1\tone", "1\ttwo"], ":2 repeats the id '1'"),
    ],
)
def test_lines_of_text_with_tabs_that_are_not_all_an_id_and_a_text_are_refused(
    tmp_path, lines, fault
):
    path = write(tmp_path / "q.txt", "\n".join(lines))
    message = f"{re.escape(f'{path}{fault}; expected an id, a tab and a text on every line')}"
    refused(FileFormatError, message, read_queries, path)


NUMBER_MARKS = {" ": "a space", "   ": "a space", ". ": "a period", ") ": "a parenthesis"}


@pytest.mark.parametrize("ids", [("1", "2"), ("51", "107"), ("Q9", "Q10"), ("MB_01", "MB_02")])
@pytest.mark.parametrize("mark", NUMBER_MARKS)
def test_numbers_that_increase_at_the_start_of_every_line_are_ids(tmp_path, mark, ids):
    path = write(tmp_path / "q.txt", LINES.format(*(one + mark for one in ids)))
    said = f"every line was read as a query id, {NUMBER_MARKS[mark]} and the text of the query. "
    with pytest.warns(FileNote, match=f"{re.escape(said)}Where texts begin with the number, write"):
        queries = read_queries(path)
    assert queries == dict(zip(ids, ["why does my cat hum?", "second: 3:30"], strict=True))


NUMBERED = st.dictionaries(st.integers(0, 999), st.text("ab:. ,)1"), min_size=2)


@given(
    NUMBERED | NUMBERED.map(lambda queries: dict(sorted(queries.items()))),
    st.sampled_from(["", "q", "Topic"]),
    st.sampled_from([*MARKS, *NUMBER_MARKS]),
)
@settings(max_examples=examples(100), deadline=None)
def test_numbers_of_lines_are_ids_or_refused_in_any_layout(numbered, prefix, mark):
    """Every line has its own number: no layout makes the line's number the id."""
    queries = {f"{prefix}{number}": f"text {text}".strip() for number, text in numbered.items()}
    lines = [f"{query_id}{mark}{text}" for query_id, text in queries.items()]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FileNote)
        path = write(Path(folder) / "q.txt", "\n".join(lines))
        if mark in NUMBER_MARKS and list(numbered) != sorted(numbered):
            why = "begin with a number of their own.*Put a tab between an id and its text"
            refused(FileFormatError, why, read_queries, path)
        else:
            assert read_queries(path) == queries


def test_column_names_in_a_text_file_of_queries_are_a_header(tmp_path):
    path = write(tmp_path / "q.txt", "qid\ttext\tyear\nq2\twhy does my cat hum?\t1\n1\tsecond\t2\n")
    assert read_queries(path) == QUERIES


ID = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=9)


@given(st.dictionaries(ID, st.text("ab: ,1", min_size=1).map(str.strip).filter(bool), min_size=1))
@settings(max_examples=examples(50), deadline=None)
def test_any_ids_and_texts_separated_by_tabs_are_read(queries):
    raw = "".join(f"{query_id}\t{text}\n" for query_id, text in queries.items())
    with tempfile.TemporaryDirectory() as folder, pytest.warns(FileNote):
        assert read_queries(write(Path(folder) / "q.txt", raw)) == queries


def test_queries_and_judgments_are_read_from_standard_input(monkeypatch):
    for kind, raw in [(None, b'{"id": "a", "text": "x"}'), ("txt", b"x"), ("csv", b"id,text\na,x")]:
        set_stdin(monkeypatch, raw)
        assert read_queries("-", format=kind) == {"1" if kind == "txt" else "a": "x"}
    set_stdin(monkeypatch, b"q 0 d 1\n")
    assert read_qrels("-") == {"q": {"d": 1}}


def test_all_bad_queries_are_counted_and_the_first_thousand_reported_together(tmp_path):
    lines = b"""{"_id": "a", "text": "fine"}
{"_id": "a", "text": "again"}
{"_id": "b", "text": "  "}
{"_id": "c"}
{"text": "x"}
{"_id": "", "text": "x"}
{"_id": "d", "text": 5}
{"_id": "e", "text": "\\udc00"}
nonsense
{"_id": "\xff", "text": ""}"""
    path = write(tmp_path / "q.jsonl", lines)
    assert reasons_by_place(read_queries, path) == {
        ":2": "query id 'a' was given before",
        ":3": "'text' is empty",
        ":4": "no 'text'",
        ":5": "no id: expected '_id', 'query_id', 'qid' or 'id'",
        ":6": "the query id is empty",
        ":7": "'text' is 5; expected text",
        ":8": "'text' is not valid Unicode",
        ":9": "not JSON: Expecting value at column 1",
        ":10": "invalid UTF-8 at byte 10",
    }
    refused(BadRecordsError, "Fix the lines and read the file again.$", read_queries, path)
    path = write(tmp_path / "q.jsonl", "{}\n" * 1_500)
    with pytest.raises(BadRecordsError) as caught:
        read_queries(path)
    assert (len(caught.value.records), caught.value.total) == (1_000, 1_500)


@pytest.mark.parametrize(
    ("error", "message", "name", "content"),
    [
        (InputError, "holds no queries", "q.jsonl", ""),
        (InputError, "holds no queries", "q.txt", "\n"),
        (InputError, "holds no queries", "q.csv", "id,text"),
        (FileFormatError, "has no column of texts", "q.csv", "id,year\n"),
        (FileFormatError, r"Known extensions: .*\.trec, .*also with \.gz", "q.doc", "x"),
    ],
)
def test_files_that_hold_no_queries_are_refused(tmp_path, error, message, name, content):
    refused(error, message, read_queries, write(tmp_path / name, content))
    refused(InputError, r"No file or folder 'no\.jsonl'", read_queries, "no.jsonl")


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "ndjson", "json", "csv", "tsv", "csv.gz"])
@given(queries=st.dictionaries(FILLED, FILLED, min_size=1))
def test_queries_written_are_read_back_unchanged(tmp_path_factory, ending, queries):
    path = tmp_path_factory.mktemp("law") / f"q.{ending}"
    write_queries(path, queries)
    assert list(read_queries(path).items()) == list(queries.items())


def test_queries_that_could_not_be_read_again_are_not_written(tmp_path):
    path = write(tmp_path / "q.jsonl", "old")
    for queries in [{"": "x"}, {"a": " "}, {"a": "\ud800"}]:
        message = "^The (query id|text of query 'a') is "
        refused(InputError, message, write_queries, path, queries)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["q.jsonl"]


def test_queries_are_written_as_the_ending_says(tmp_path):
    queries = {"q2": 'why "hum",\nmy cat?', "1": "second"}
    expected = {
        "q.jsonl": '{"_id": "q2", "text": "why \\"hum\\",\\nmy cat?"}\n'
        '{"_id": "1", "text": "second"}\n',
        # Quoted column names say that quotes are not characters, and join no rows.
        "q.csv": '"query_id","text"\nq2,"why ""hum"",\nmy cat?"\n1,second\n',
        "q.TSV": '"query_id"\t"text"\nq2\t"why ""hum"",\nmy cat?"\n1\tsecond\n',
    }
    for name, content in expected.items():
        write_queries(tmp_path / name, queries)
        assert (tmp_path / name).read_text() == content


@pytest.mark.parametrize("name", ["q.txt", "q.parquet", "q", "q.gz"])
def test_queries_are_not_written_under_an_ending_that_reads_otherwise(tmp_path, name):
    message = r"expected an extension of \.jsonl, .*\.trec, optionally"
    refused(InputError, message, write_queries, tmp_path / name, QUERIES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["test.tsv", "test.tsv.gz", "qrels.csv", "qrels.txt", "qrels"])
@pytest.mark.parametrize(
    "content",
    [
        "query-id\tcorpus-id\tscore\nq2\tcat\t2\nq2\tcar\t0\n1\ttax\t-1\n",
        "query-id,corpus-id,score\r\nq2,cat,2\r\n\r\nq2,car,0\r\n1,tax,-1\r\n",
        '\ufeff\n"query_id","doc_id","relevance"\nq2,"cat",2\nq2,car,+0\n1,tax,-1\n',
        "q2 0 cat 2\nq2\tQ0\tcar\t0\n\n1  0  tax  -1\n",
        "q2 0 cat 2\nq2 0 cat 2\nq2 0 car 0\n1 0 tax -1",
    ],
)
def test_judgments_in_both_formats_whatever_the_name(tmp_path, name, content):
    assert read_qrels(write(tmp_path / name, content)) == QRELS


def test_all_bad_judgments_under_a_header_are_reported_together(tmp_path):
    rows = ["query-id\tcorpus-id\tscore", "a\td\t1", "a\td\t2", "a\td", "\td\t1", "a\t\t1"]
    rows += ["a\te\t1.5", "a\tf\thigh", "a\tg\t1_000", "a\tg\t"]
    assert reasons_by_place(read_qrels, write(tmp_path / "q.tsv", "\n".join(rows))) == {
        ":3": "query 'a' and document 'd' were judged 1 before, here 2",
        ":4": "2 cells; the header has 3",
        ":5": "no 'query-id' or 'query_id'",
        ":6": "no 'corpus-id' or 'doc_id'",
        ":7": "grade '1.5' is not a whole number",
        ":8": "grade 'high' is not a whole number",
        ":9": "grade '1_000' is not a whole number",
        ":10": "no 'score' or 'relevance'",
    }


def test_all_bad_judgments_of_trec_are_reported_together(tmp_path):
    path = write(tmp_path / "q.trec", b"a 0 d 1\na 0 d 0\na d 1\n\xff 0 d 1\na 0 e x\n")
    assert reasons_by_place(read_qrels, path) == {
        ":2": "query 'a' and document 'd' were judged 1 before, here 0",
        ":3": "3 columns; expected 'query_id 0 doc_id grade'",
        ":4": "invalid UTF-8 at byte 1",
        ":5": "grade 'x' is not a whole number",
    }
    # Grades that are rather times or ids:
    lines = "1 0 d1 1000000\n1 0 d2 1732406400\n1 0 d3 -1000001\n"
    assert reasons_by_place(read_qrels, write(tmp_path / "qrels.txt", lines)) == {
        ":2": "grade '1732406400' is beyond 1,000,000; is it a grade?",
        ":3": "grade '-1000001' is beyond 1,000,000; is it a grade?",
    }


@pytest.mark.parametrize(
    ("error", "message", "content"),
    [
        (InputError, "holds no judgments", ""),
        (InputError, "holds no judgments", "\n\n"),
        (InputError, "holds no judgments", "query-id\tcorpus-id\tscore\n"),
        (FileFormatError, "is not a file of judgments", '{"_id": "a", "text": "two words"}\n'),
        (FileFormatError, "has no column 'score' or 'relevance'", "query-id\tcorpus-id\n"),
        (FileFormatError, "looks like a Parquet file", b"PAR1"),
    ],
)
def test_files_that_hold_no_judgments_are_refused(tmp_path, error, message, content):
    refused(error, message, read_qrels, write(tmp_path / "q.tsv", content))
    refused(InputError, "No file or folder", read_qrels, tmp_path / "none.tsv")


@pytest.mark.parametrize("ending", ["tsv", "tsv.gz", "csv", "csv.gz", "other"])
@given(qrels=st.dictionaries(FILLED, st.dictionaries(FILLED, GRADES, min_size=1), min_size=1))
@example(qrels={"score": {"relevance": 3}, "a;b": {"x,y\tz\r": -1}})
def test_judgments_written_are_read_back_unchanged(tmp_path_factory, ending, qrels):
    path = tmp_path_factory.mktemp("law") / f"q.{ending}"
    write_qrels(path, qrels)
    assert read_qrels(path) == qrels


@pytest.mark.parametrize("ending", ["qrels", "trec", "qrels.gz"])
@given(qrels=st.dictionaries(TREC_IDS, st.dictionaries(TREC_IDS, GRADES, min_size=1), min_size=1))
@example(qrels={"score,1": {"query-id": 2}, "relevance": {"doc_id": 0}})
def test_judgments_written_in_the_columns_of_trec_are_read_back_unchanged(
    tmp_path_factory, ending, qrels
):
    path = tmp_path_factory.mktemp("law") / f"q.{ending}"
    write_qrels(path, qrels)
    assert read_qrels(path) == qrels


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("q.tsv", "query-id\tcorpus-id\tscore\nq2\tcat\t2\nq2\tcar\t0\n1\ttax\t-1\n"),
        ("q.csv", "query_id,doc_id,relevance\nq2,cat,2\nq2,car,0\n1,tax,-1\n"),
        ("q.qrels", "q2 0 cat 2\nq2 0 car 0\n1 0 tax -1\n"),
        ("q.TREC", "q2 0 cat 2\nq2 0 car 0\n1 0 tax -1\n"),
    ],
)
def test_judgments_are_written_as_the_ending_says(tmp_path, name, content):
    write_qrels(tmp_path / name, QRELS)
    assert (tmp_path / name).read_text() == content
    refused(InputError, "The document id is empty", write_qrels, tmp_path / name, {"q": {"": 1}})
    assert (tmp_path / name).read_text() == content


@pytest.mark.parametrize("grade", [True, 1.0, np.int64(1), "1", "1.0"])
def test_grades_are_written_as_whole_numbers(tmp_path, grade):
    write_qrels(tmp_path / "q.tsv", {"q": {"d": grade}})
    assert read_qrels(tmp_path / "q.tsv") == {"q": {"d": 1}}


@pytest.mark.parametrize(
    ("write", "given", "message"),
    [
        (write_qrels, {"q": {"d": 1.5}}, "The grade of 'd' for query 'q' is 1.5; expected a whole"),
        (write_qrels, {"q": {"d": math.nan}}, "The grade of 'd' for query 'q' is nan; expected"),
        (write_qrels, {"q": ["d"]}, "The judgments of query 'q' are list; expected a mapping"),
        (write_qrels, {1: {"d": 1}}, "The query id is 1, not text"),
        (write_queries, {1: "cats"}, "The query id is 1, not text"),
        (write_queries, {"q": None}, "The text of query 'q' is None, not text"),
    ],
)
def test_what_no_reader_takes_is_not_written(tmp_path, write, given, message):
    refused(InputError, message, write, tmp_path / "q.tsv", given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("qrels", [{"my q": {"d": 1}}, {"q": {"d": 1, "my\u2003d": 1}}])
def test_ids_with_white_space_do_not_fit_into_the_columns_of_trec(tmp_path, qrels):
    message = "The (query|document) id .* holds white space, which"
    refused(InputError, message, write_qrels, tmp_path / "q.qrels", qrels)
    assert list(tmp_path.iterdir()) == []


def test_other_columns_are_ignored_and_semicolons_may_separate(tmp_path):
    rows = ["note,query_id,doc_id,relevance,by", '"a; b",q,d,2,me', ",q,e,0,"]
    assert read_qrels(write(tmp_path / "q.csv", "\n".join(rows))) == {"q": {"d": 2, "e": 0}}
    rows = ["query_id;doc_id;relevance", "q;d,e;2"]
    assert read_qrels(write(tmp_path / "q.csv", "\n".join(rows))) == {"q": {"d,e": 2}}


def test_scifact_and_cranfield_are_read(data):
    scifact, cranfield = data / "scifact", data / "cranfield"
    queries = read_queries(scifact / "queries.jsonl")
    qrels = read_qrels(scifact / "qrels" / "test.tsv")
    assert queries["0"] == "0-dimensional biomaterials lack inductive properties."
    assert len(qrels) == 300
    assert sum(map(len, qrels.values())) == 339
    assert set(qrels) < set(queries)
    graded = read_qrels(cranfield / "qrels" / "test_graded.tsv")
    assert {grade for grades in graded.values() for grade in grades.values()} == {1, 2, 3, 4}
    assert len(read_queries(cranfield / "queries.jsonl")) == 225
