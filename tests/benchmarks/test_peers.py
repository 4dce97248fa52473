"""The judge of the comparison with peers: what it counts as right, and as wrong."""

import numpy as np
import pytest

from benchmarks.peers.material import Corpus, Queries, given
from benchmarks.peers.rounds import K, agreement
from benchmarks.peers.system import System
from benchmarks.peers.table import table

# Twelve directions in a plane, each a little further from the first query.
ANGLES = np.arange(12) / 10
CORPUS = Corpus(
    [f"d{number}" for number in range(12)],
    [f"text {number}" for number in range(12)],
    np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32),
)
QUERIES = Queries(["first", "last"], CORPUS.vectors[[0, 11]])


class Sound(System):
    name = how = package = "sound"

    def __init__(self):
        self.encode = given(QUERIES)

    def build(self, *given): ...

    open = close = build

    def search_one(self, text, k):
        scores = CORPUS.vectors @ self.encode([text])[0]
        best = np.argsort(-scores)[:k]
        return [(CORPUS.doc_ids[row], CORPUS.texts[row], scores[row]) for row in best]

    def read_one(self, answer):
        return answer


class Forgetful(Sound):
    """Never finds the best document."""

    def search_one(self, text, k):
        return super().search_one(text, k + 1)[1:]


class OtherTexts(Sound):
    def search_one(self, text, k):
        return [(doc_id, "", score) for doc_id, _, score in super().search_one(text, k)]


class OtherScores(Sound):
    def search_one(self, text, k):
        return [(doc_id, text, 1 - score) for doc_id, text, score in super().search_one(text, k)]


class OtherBatches(Sound):
    def search_batch(self, texts, k):
        return super().search_batch(texts[::-1], k)


@pytest.mark.parametrize(
    ("system", "recall", "wrong"),
    [
        (Sound, 1.0, 0),
        (Forgetful, 0.9, 0),
        (OtherTexts, 1.0, 2 * K),
        (OtherScores, 1.0, 2 * K),
        (OtherBatches, 1.0, 2),
    ],
)
def test_an_answer_is_judged_by_its_documents_texts_and_scores(system, recall, wrong):
    expected = {"recall": recall, "overlap": recall, "wrong": wrong}
    assert agreement(system(), CORPUS, QUERIES) == expected


def test_a_tie_at_the_end_may_go_either_way():
    twins = Corpus(CORPUS.doc_ids, CORPUS.texts, CORPUS.vectors[[0] * 12])
    assert agreement(Forgetful(), twins, Queries(["first"], QUERIES.vectors[:1]))["recall"] == 1.0


def test_the_table_has_a_column_for_each_system():
    spread = {"median": 0.5, "least": 0.4, "most": 0.6}
    facts = ("p50_ms", "p95_ms", "with_model_p50_ms", "with_model_p95_ms", "queries_per_second")
    facts += ("open_s", "import_s", "build_s", "peak_MB", "before_MB", "resident_MB", "imported_MB")
    row = {"how": "exact", "recall": 1.0, "wrong": 0, "bytes": 2_500_000}
    rows = {name: {"name": name, **row, **dict.fromkeys(facts, spread)} for name in ("a", "b")}
    seconds, missing = {"documents_s": 200.0, "queries_s": 2.0}, {"c": "no such module"}
    lines = table({"systems": rows, "embedding": seconds, "left_out": missing}).splitlines()
    assert lines[0] == "|  | a | b |"
    assert "| on disk, MB | 2.5 | 2.5 |" in lines
    assert "| open and first answer, ms | 500.0 | 500.0 |" in lines
    assert lines[-1] == "c was left out: no such module"
