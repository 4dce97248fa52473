"""Runs in the format of TREC."""

import gzip
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import FileFormatError, InputError
from retriever.formats import read_run, write_run
from tests.support.sources.records import TREC_IDS, reasons_by_place, write
from tests.support.toy import refused

RUN = {"q1": [("b", 0.5), ("a", 0.5), ("c", -1.0)], "q0": [("a", 0.1)]}

FINITE = {"allow_nan": False, "allow_infinity": False}
SCORES = st.floats(**FINITE) | st.floats(**FINITE, width=32)


@st.composite
def runs(draw):
    run = {}
    for query_id in draw(st.lists(TREC_IDS, unique=True, max_size=4)):
        ids = draw(st.lists(TREC_IDS, unique=True, min_size=1, max_size=6))
        scores = sorted((draw(SCORES) for _ in ids), reverse=True)
        run[query_id] = list(zip(ids, scores, strict=True))
    return run


@pytest.mark.parametrize("ending", ["trec", "trec.gz"])
@given(run=runs())
def test_a_run_written_is_read_back_unchanged(tmp_path_factory, ending, run):
    path = tmp_path_factory.mktemp("law") / f"run.{ending}"
    write_run(path, run, "tag")
    assert read_run(path) == run
    assert list(read_run(path)) == list(run)


def test_a_run_is_written_in_six_columns_and_no_line_for_a_query_without_hits(tmp_path):
    path = tmp_path / "run.trec"
    write_run(path, RUN, "glove")
    assert path.read_text() == (
        "q1 Q0 b 1 0.5 glove\nq1 Q0 a 2 0.5 glove\nq1 Q0 c 3 -1.0 glove\nq0 Q0 a 1 0.1 glove\n"
    )
    score = np.float32(0.1)
    write_run(path, {"q": [("d", score)]}, "tag")
    assert path.read_text() == "q Q0 d 1 0.10000000149011612 tag\n"
    assert read_run(path) == {"q": [("d", float(score))]}
    write_run(path, {"q": []}, "tag")
    assert path.read_bytes() == b""
    assert read_run(path) == {}


@pytest.mark.parametrize(
    ("run", "tag", "message"),
    [
        ({"my query": []}, "t", "The query id 'my query' holds white space"),
        ({"q": [("my notes.md", 1.0)]}, "t", "The document id 'my notes.md' holds white space"),
        ({"q": [("a\u00a0b", 1.0)]}, "t", r"The document id 'a\\xa0b' holds white space"),
        ({"q": [(" d", 1.0)]}, "t", "The document id ' d' holds white space"),
        ({"": []}, "t", "The query id is empty"),
        ({"q": [("", 1.0)]}, "t", "The document id is empty"),
        ({}, "", "The tag is empty"),
        ({}, "my run", "The tag 'my run' holds white space"),
        ({"\ufeffq": []}, "t", "The query id .* begins with a byte-order mark"),
        ({"\ud800": []}, "t", r"The query id '\\ud800' is not valid Unicode"),
        ({"q": [("d", math.nan)]}, "t", "The score of 'd' for query 'q' is nan"),
        ({"q": [("d", math.inf)]}, "t", "The score of 'd' for query 'q' is inf"),
        ({"q": [("d", 1.0), ("e", 2.0)]}, "t", r"'e' \(2.0\) ranked below 'd' \(1.0\)"),
        ({"q": [("d", 1.0), ("d", 0.5)]}, "t", "Query 'q' has the same document at two ranks"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_and_nothing_is_written(tmp_path, run, tag, message):
    path = write(tmp_path / "run.trec", "old")
    refused(InputError, message, write_run, path, run, tag)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.trec"]


def test_hits_are_sorted_by_score_then_by_rank(tmp_path):
    lines = "q 0 c 9 .5 t\nr Q0 x 1 1e-3 t\nq 0 a 2 1 t\n\nq 0 b 1 0.5 t\n"
    path = write(tmp_path / "run.trec", lines)
    assert read_run(path) == {"q": [("a", 1.0), ("b", 0.5), ("c", 0.5)], "r": [("x", 0.001)]}


@pytest.mark.parametrize("name", ["run.trec", "run.txt.gz", "input.bm25"])
def test_runs_of_other_tools_are_read(tmp_path, name):
    # Tabs, ranks from 0, a byte-order mark, exponents, ties whose ranks go the other way.
    raw = b"\xef\xbb\xbf301\tQ0\tFBIS3-1\t0\t-1.25e+01\tanserini\r\n"
    raw += b"301\tITER\tFT911-3\t2\t4\tanserini\r\n301 0 LA-2 1 +4E0 x\r\n\r\n"
    hits = [("LA-2", 4.0), ("FT911-3", 4.0), ("FBIS3-1", -12.5)]
    assert read_run(write(tmp_path / name, raw)) == {"301": hits}


@pytest.mark.parametrize(("rank", "score"), [("1_0", "1"), ("1", "1_0"), ("1", "٣"), ("١", "1")])
def test_what_only_python_reads_is_no_number(tmp_path, rank, score):
    path = write(tmp_path / "run.trec", f"q Q0 a {rank} {score} t\n".encode())
    reason = f"rank '{rank}' and score '{score}' are not both numbers"
    assert reasons_by_place(read_run, path) == {":1": reason}


def test_all_bad_lines_are_reported_together(tmp_path):
    lines = b"q Q0 a 1 1.0 t\nq Q0 a 2 0.5 t\nq a 1\nq Q0 b x 1 t\nq Q0 b 1 x t\nq Q0 b 1 nan t\n"
    assert reasons_by_place(read_run, write(tmp_path / "run.trec", lines + b"\xff\n")) == {
        ":2": "document 'a' is in query 'q' twice",
        ":3": "3 columns; expected 'query_id Q0 doc_id rank score tag'",
        ":4": "rank 'x' and score '1' are not both numbers",
        ":5": "rank '1' and score 'x' are not both numbers",
        ":6": "score 'nan' is not finite",
        ":7": "invalid UTF-8 at byte 1",
    }


def test_a_missing_folder_or_file_and_a_truncated_run_are_refused(tmp_path):
    refused(InputError, "No file or folder", read_run, tmp_path / "none.trec")
    message = r"none/run\.trec cannot be written: No such file"
    refused(InputError, message, write_run, tmp_path / "none" / "run.trec", RUN, "tag")
    path = tmp_path / "run.trec.gz"
    path.write_bytes(gzip.compress(b"q Q0 a 1 1.0 t\n" * 100)[:-9])
    refused(FileFormatError, "is damaged or truncated", read_run, path)
