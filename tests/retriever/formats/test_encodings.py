"""Files that are not UTF-8 with line feeds: refused with the way out, by every reader."""

import pytest

from indexes.errors import FileFormatError
from retriever.formats import read_qrels, read_queries
from retriever.formats.documents import read_documents
from retriever.formats.ids import read_ids
from retriever.formats.runs import read_run
from tests.support.toy import refused

FILES = {
    "a.csv": (read_documents, "id,text\n1,one\n2,two\n"),
    "a.tsv": (read_documents, "id\ttext\n1\tone\n"),
    "a.jsonl": (read_documents, '{"id": "1", "text": "one"}\n{"id": "2", "text": "two"}\n'),
    "q.csv": (read_queries, "id,text\n1,one\n"),
    "q.jsonl": (read_queries, '{"id": "1", "text": "one"}\n{"id": "2", "text": "two"}\n'),
    "q.txt": (read_queries, "one query\nanother query\n"),
    "r.qrels": (read_qrels, "1 0 a 1\n2 0 b 1\n"),
    "r.tsv": (read_qrels, "query-id\tcorpus-id\tscore\n1\ta\t1\n"),
    "s.trec": (read_run, "1 Q0 a 1 2.0 x\n2 Q0 b 1 2.0 x\n"),
    "ids.txt": (read_ids, "1\n2\n"),
}
ENCODINGS = {
    "utf-16": "looks like UTF-16 text. Save it as UTF-8",
    "utf-16-le": "looks like UTF-16 text without a byte-order mark. Save it as UTF-8",
    "utf-16-be": "looks like UTF-16 text without a byte-order mark. Save it as UTF-8",
    "utf-32": "looks like UTF-32 text. Save it as UTF-8",
}


def read(name, folder, raw):
    reader = FILES[name][0]
    (folder / name).write_bytes(raw)
    found = reader(str(folder / name))
    return list(found) if reader is read_documents else found


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_encoding_is_refused_by_its_name(tmp_path, name):
    text = FILES[name][1]
    for encoding, message in ENCODINGS.items():
        refused(FileFormatError, message, read, name, tmp_path, text.encode(encoding))
    right = read(name, tmp_path, text.encode())
    assert read(name, tmp_path, text.encode("utf-8-sig")) == right
    assert read(name, tmp_path, text.replace("\n", "\r\n").encode()) == right


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("end", ["\r", ""])
def test_carriage_returns_alone_are_refused_with_the_way_out(tmp_path, name, end):
    text = FILES[name][1].replace("\n", "\r").rstrip() + end
    why = r"has carriage returns alone as line ends\. Save it with line feeds"
    refused(FileFormatError, why, read, name, tmp_path, text.encode())
