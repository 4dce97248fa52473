"""Test collections by name: real ir_datasets objects over local files, and real errors."""

import re
import sys
from typing import NamedTuple

import pytest

from indexes.document import Document
from indexes.errors import InputError, UnknownNameError
from retriever.datasets.ir_datasets_loader import load_named
from tests.support.fresh import printed_by
from tests.support.toy import refused

NAME = "retriever-test/small"


class PlainDoc(NamedTuple):
    """A document without a default text."""

    doc_id: str
    text: str


class TitledDoc(NamedTuple):
    """The usual case: a default text that starts with the title."""

    doc_id: str
    title: str
    text: str

    def default_text(self):
        return f"{self.title} {self.text}"


class HeadlineDoc(NamedTuple):
    """A default text with the title in the middle."""

    doc_id: str
    title: str
    text: str

    def default_text(self):
        return f"news: {self.title}. {self.text}"


@pytest.fixture
def ir(tmp_path, monkeypatch):
    """ir_datasets with its folder in `tmp_path`; names that a test registers are removed."""
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    ir_datasets = pytest.importorskip("ir_datasets", reason="ir_datasets is not installed")
    before = set(ir_datasets.registry)
    yield ir_datasets
    for name in set(ir_datasets.registry) - before:
        del ir_datasets.registry._registered[name]


def local(ir, path, content):
    path.write_text(content, encoding="utf-8")
    return ir.util.LocalDownload(path)


def register(ir, tmp_path, *parts, docs=TitledDoc, rows=""):
    docs_part = ir.formats.TsvDocs(local(ir, tmp_path / "docs.tsv", rows), doc_cls=docs)
    ir.registry.register(NAME, ir.Dataset(docs_part, *parts))


ROWS = "d1\tCats\tCats purr.\nd2\t\tEngines idle.\nd3\tTax\t\n"


def test_documents_queries_and_graded_judgments(ir, tmp_path):
    queries = ir.formats.TsvQueries(local(ir, tmp_path / "q.tsv", "q1\twhy hum?\nq2\ttaxes\n"))
    judged = "q1 0 d1 2\nq1 0 d2 0\nq3 0 d3 -1\n"
    qrels = ir.formats.TrecQrels(local(ir, tmp_path / "qrels", judged), {})
    register(ir, tmp_path, queries, qrels, rows=ROWS)
    dataset = load_named(NAME)
    assert dataset.name == NAME
    assert dataset.queries == {"q1": "why hum?", "q2": "taxes"}
    assert dataset.qrels == {"q1": {"d1": 2, "d2": 0}, "q3": {"d3": -1}}
    # The default text of d1 is "Cats Cats purr.": the title is taken off once.
    cats, tax = Document("d1", "Cats purr.", "Cats"), Document("d3", "", "Tax")
    expected = [cats, Document("d2", " Engines idle."), tax]
    assert list(dataset.documents()) == list(dataset.documents()) == expected


@pytest.mark.parametrize(
    ("docs", "row", "text"),
    [
        (HeadlineDoc, "d\tCats\tThey purr.\n", "news: Cats. They purr."),
        (PlainDoc, "d\tThey purr.\n", "They purr."),
    ],
)
def test_a_title_is_not_repeated_and_a_plain_text_is_enough(ir, tmp_path, docs, row, text):
    register(ir, tmp_path, docs=docs, rows=row)
    assert list(load_named(NAME).documents()) == [Document("d", text)]


def test_the_titles_of_trec_topics_are_the_queries(ir, tmp_path):
    topics = "<top>\n<num> Number: 301\n<title> crime\n<desc> Description:\nx\n"
    topics += "<narr> Narrative:\ny\n</top>\n"
    queries = ir.formats.TrecQueries(local(ir, tmp_path / "topics", topics))
    register(ir, tmp_path, queries, rows=ROWS)
    dataset = load_named(NAME)
    assert (dataset.queries, dataset.qrels) == ({"301": "crime"}, {})


def test_of_several_grades_of_one_document_the_highest_counts(ir, tmp_path):
    judged = "q 1 d 1\nq 2 d 2\nq 3 d 0\n"
    register(ir, tmp_path, ir.formats.TrecQrels(local(ir, tmp_path / "qrels", judged), {}))
    assert load_named(NAME).qrels == {"q": {"d": 2}}


def test_unknown_names_and_names_of_groups_are_errors_with_advice(ir):
    start = f"No test collection 'beir/scifact/tset' in ir_datasets {ir.__version__}. Similar names"
    end = ". All names are listed at https://ir-datasets.com"
    why = f"^{re.escape(start)}: beir/scifact/test, .*{re.escape(end)}$"
    refused(UnknownNameError, why, load_named, "beir/scifact/tset")
    why = r"in ir_datasets [0-9.]+\. All names are listed at"
    refused(UnknownNameError, why, load_named, "#" * 40)
    refused(InputError, "'beir' has no documents in ir_datasets: it is a group", load_named, "beir")


def test_a_failed_download_is_one_clear_error(ir, tmp_path):
    gone = ir.util.RequestsDownload("http://127.0.0.1:9/corpus.tsv", tries=1)
    docs = ir.formats.TsvDocs(ir.util.Download([gone], tmp_path / "corpus.tsv"))
    ir.registry.register(NAME, ir.Dataset(docs))
    start = f"The documents of '{NAME}' could not be downloaded or read (ConnectionError: "
    end = "Check the network, or put the files where ir_datasets looks for them: "
    end += "https://ir-datasets.com/retriever-test.html"
    # Without DOTALL, the message must be one line.
    why = f"^{re.escape(start)}.*{re.escape(end)}$"
    refused(InputError, why, next, load_named(NAME).documents())


def test_a_broken_file_of_queries_is_one_clear_error(ir, tmp_path):
    register(ir, tmp_path, ir.formats.TsvQueries(local(ir, tmp_path / "q.tsv", "no tab\n")))
    refused(InputError, r"The queries of .* \(RuntimeError: expected 2 fields", load_named, NAME)


def test_without_ir_datasets_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    start, end = "^'beir/scifact/test' needs ir_datasets, which", r"retriever-compare\[datasets\]'$"
    refused(InputError, f"{start}.* Run: pip install '{end}", load_named, "beir/scifact/test")


def test_importing_it_does_not_import_ir_datasets():
    code = "import sys, retriever.datasets.ir_datasets_loader; print('ir_datasets' in sys.modules)"
    assert printed_by(code) == "False\n"


def test_ir_datasets_does_not_import_torch(ir, tmp_path):
    code = "import ir_datasets, sys; print('torch' in sys.modules)"
    assert printed_by(code, IR_DATASETS_HOME=str(tmp_path)) == "False\n"
