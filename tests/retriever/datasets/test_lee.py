"""The demo corpus, against figures counted by hand in gensim's files."""

import importlib.util
from collections import Counter
from importlib.machinery import ModuleSpec

import pytest

from indexes.errors import RetrieverError
from retriever.datasets import lee as datasets
from retriever.datasets.lee import lee
from tests.support.fresh import printed_by
from tests.support.toy import refused


def test_there_are_50_judged_and_300_background_documents():
    documents = lee().documents
    ids = [document.doc_id for document in documents]
    assert [ids[n] for n in (0, 1, 49)] == ["judged-01", "judged-02", "judged-50"]
    assert [ids[n] for n in (50, -1)] == ["background-001", "background-300"]
    assert Counter(d.metadata["set"] for d in documents) == {"judged": 50, "background": 300}
    assert {d.title for d in documents} == {""}
    assert documents[0].text.startswith("The national executive of the strife-torn Democrats")
    assert documents[-1].text.endswith(' to beat us as well."')
    assert "still wearing his £3,000 sate" in " ".join(d.text for d in documents)


def test_every_judged_document_is_a_query():
    dataset = lee()
    assert dataset.queries == {d.doc_id: d.text for d in dataset.documents[:50]}
    assert list(dataset.qrels) == [key for key in dataset.queries if key in dataset.qrels]


def test_documents_with_a_rating_of_at_least_half_are_relevant():
    qrels = lee().qrels
    # Row 1 of the file beyond its diagonal: 0.5 in columns 6 and 50, 1 in 14, 0.52 in 22 and 0.96
    # in 33; all others are below 0.5.
    expected = {"judged-06": 1, "judged-14": 6, "judged-22": 1, "judged-33": 5, "judged-50": 1}
    assert qrels["judged-01"] == expected
    # Row 50 is zeros up to its diagonal: its judgments are in column 50.
    assert qrels["judged-50"]["judged-01"] == 1
    # Of the file's 193 ratings from 0.5 up, 50 are the diagonal: 143 pairs, both ways.
    grades = Counter(grade for of_query in qrels.values() for grade in of_query.values())
    assert grades == {1: 118, 2: 76, 3: 56, 4: 18, 5: 12, 6: 6}
    assert len(qrels) == 48


def test_judgments_are_symmetric_and_never_of_a_document_for_itself():
    qrels = lee().qrels
    for query_id, grades in qrels.items():
        assert query_id not in grades
        assert {doc_id: qrels[doc_id][query_id] for doc_id in grades} == grades


def test_grades_go_by_tenths_whatever_the_binary_fraction():
    ratings = (0.49999, 0.5, 0.59, 0.6, 0.7, 0.8, 0.9, 0.99, 1)
    assert list(map(datasets._grade, ratings)) == [1, 1, 1, 2, 3, 4, 5, 5, 6]
    # Below half, a document is not relevant.
    assert max(datasets._grade(0.499), datasets._grade(0.0)) < 1


def test_reading_it_does_not_import_gensim():
    code = "import sys, retriever.datasets.lee as d; d.lee(); print('gensim' in sys.modules)"
    assert printed_by(code) == "False\n"


@pytest.mark.parametrize("spec", [None, ModuleSpec("gensim", None)])
def test_without_gensim_it_says_what_to_install(monkeypatch, spec):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    refused(RetrieverError, "Run: pip install gensim", lee)
