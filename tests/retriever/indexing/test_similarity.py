"""Embedders of one's own with a similarity: documents, combinations, storage and messages."""

import math

import numpy as np
import pytest

from indexes.errors import FailedTextsError, InputError, MismatchError
from retriever import Collection, Document, compare
from retriever.embedders import HashingEmbedder, similarity_of
from retriever.splitting import Sentences
from retriever.training.distillation import distill
from tests.support.toy import Axes, ids, pairs, refused


class Counts(Axes):
    """Counts of `north` and `east` as they are, each times `scale`."""

    def __init__(self, similarity, scale=1.0):
        super().__init__(words=("north", "east"))
        self.similarity, self.scale = similarity, scale

    def encode_queries(self, texts):
        rows = [[text.split().count(word) for word in self.words] for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), 2) * np.float32(self.scale)


DOCUMENTS = {
    "n": "north",
    "nnn": "north north north",
    "ne": "north east",
    "eee": "east east east",
    "fog": "fog",
}
BY = {
    # Of the query (1, 1).
    "cosine": [("ne", 1.0), ("n", 0.5**0.5), ("nnn", 0.5**0.5), ("eee", 0.5**0.5)],
    "dot": [("nnn", 3.0), ("eee", 3.0), ("ne", 2.0), ("n", 1.0)],
    "euclidean": [("ne", 0.0), ("n", -1.0), ("nnn", -(5**0.5)), ("eee", -(5**0.5))],
}


def library_of(path, similarity, **options):
    library = Collection.create(path / similarity, **options)
    library.add(Document(doc_id, text) for doc_id, text in DOCUMENTS.items())
    library.build("counts", Counts(similarity))
    return library


@pytest.mark.parametrize("similarity", BY)
def test_ties_empty_documents_and_queries_are_as_for_the_cosine(tmp_path, similarity):
    library = library_of(tmp_path, similarity)
    found = pairs(library.search("north east"))
    assert [doc_id for doc_id, _ in found] == [doc_id for doc_id, _ in BY[similarity]]
    scores = [score for _, score in BY[similarity]]
    assert [score for _, score in found] == pytest.approx(scores, abs=1e-6)
    # What has nothing to embed is never found, not even by a distance; nor finds it anything.
    assert ids(library.search("fog")) == []
    library.build("hnsw", vectors="counts", ann="HNSW4")
    assert pairs(library.search("north east", index="hnsw")) == found
    assert ids(library.search("fog", index="hnsw")) == []


@pytest.mark.parametrize("similarity", BY)
def test_fusion_and_reranking_work_on_scores_of_any_range(tmp_path, similarity):
    library = library_of(tmp_path, similarity)
    library.build("words", lexical=True)
    library.fuse("minmax", ["counts", "words"], method="minmax", weights=[3, 1])
    library.fuse("convex", ["counts", "words"], method="convex", weights=[3, 1])
    library.cascade("reranked", "words", "counts")
    low, high = BY[similarity][-1][1], BY[similarity][0][1]
    words = dict(pairs(library.search("north east", index="words")))
    least, most = min(words.values()), max(words.values())
    scores = dict(pairs(library.search("north east", index="minmax")))
    for doc_id, score in BY[similarity]:
        share = 0.75 * (score - low) / (high - low)
        share += 0.25 * (words[doc_id] - least) / (most - least)
        assert scores[doc_id] == pytest.approx(share, abs=1e-5)
    exact = dict(pairs(library.search("north east", index="convex")))
    low, least = min(low, 0), 0
    for doc_id, score in BY[similarity]:
        share = 0.75 * (score - low) / (max(high, 0) - low) + 0.25 * words[doc_id] / most
        assert exact[doc_id] == pytest.approx(share, abs=1e-5)
    first = pairs(library.search("north east", index="counts"))
    reranked = pairs(library.search("north east", index="reranked"))
    assert [score for _, score in reranked] == [score for _, score in first]
    assert sorted(reranked) == sorted(first)


@pytest.mark.parametrize(
    ("similarity", "best", "other"), [("dot", 2.0, 0.0), ("euclidean", 0.0, -(2**0.5))]
)
def test_a_document_is_ranked_by_its_best_passage(tmp_path, similarity, best, other):
    library = Collection.create(tmp_path / "split", split=Sentences(3, overlap=0))
    library.add(
        [
            Document("a", "north and so. north north on. east and so."),
            Document("b", "east and so. east and so. east east on."),
        ]
    )
    library.build("counts", Counts(similarity))
    assert pairs(library.search("north")) == [("a", best), ("b", pytest.approx(other))]


@pytest.mark.parametrize("similarity", ["dot", "euclidean"])
@pytest.mark.parametrize("scale", [1e5, 1e-9])
def test_half_precision_refuses_vectors_out_of_its_range(tmp_path, similarity, scale):
    library = Collection.create(tmp_path / "half")
    library.add([Document("n", "north"), Document("e", "east north")])
    embedder = Counts(similarity, scale)
    options = {"dtype": "float16"}
    refused(
        (InputError, FailedTextsError), "as float32", library.build, "half", embedder, **options
    )
    library.build("single", embedder)
    assert ids(library.search("east", index="single"))[0] == "e"
    library.build("fits", Counts(similarity), dtype="float16")
    assert ids(library.search("east", index="fits"))[0] == "e"


def test_a_vector_too_long_to_be_scored_is_refused(tmp_path):
    library = Collection.create(tmp_path / "long")
    library.add([Document("n", "north"), Document("e", "east")])
    message = "A vector has the length 1e[+]20; expected at most"
    refused((InputError, FailedTextsError), message, library.build, "long", Counts("dot", 1e20))


def test_an_unknown_similarity_is_refused_and_a_method_of_that_name_ignored(tmp_path):
    library = Collection.create(tmp_path / "library")
    library.add([Document("n", "north")])
    refused(
        InputError, "'axes' has|axes has the similarity 'l7'", library.build, "l7", Counts("l7")
    )
    assert similarity_of(Counts(max)) == "cosine"
    assert similarity_of(HashingEmbedder(8)) == "cosine"


def test_an_embedder_with_another_similarity_is_not_the_one_of_an_index(tmp_path):
    library = library_of(tmp_path, "dot")
    message = "compared by 'dot', those of axes by 'euclidean'.*option similarity dot"
    refused(MismatchError, message, library.use, "counts", Counts("euclidean"))


def test_a_student_is_not_fitted_to_a_teacher_whose_lengths_count(tmp_path):
    library = library_of(tmp_path, "dot")
    refused(InputError, "only their directions", distill, library, "student", teacher="counts")


def test_scores_of_a_filter_and_of_an_addition_are_those_of_the_similarity(tmp_path):
    library = library_of(tmp_path, "euclidean")
    library.build("hnsw", vectors="counts", ann="HNSW4")
    library.add([Document("nne", "north north east", metadata={"new": 1})])
    library.build("counts")
    for index in ("counts", "hnsw"):
        (hit,) = library.search("north east", index=index, where={"new": 1})
        assert (hit.doc_id, hit.score) == ("nne", -1.0)
        assert ids(library.search("north east", index=index, k=3)) == ["ne", "n", "nne"]
    assert math.isclose(library.search("north", index="hnsw", k=1)[0].score, 0)


@pytest.mark.parametrize("similarity", BY)
def test_a_comparison_names_the_similarity_and_loses_nothing_to_it(tmp_path, similarity):
    library = library_of(tmp_path, similarity)
    library.build("hnsw", vectors="counts", ann="HNSW4")
    qrels = {"q": {BY[similarity][0][0]: 1}}
    report = compare(library, ["counts", "hnsw"], {"q": "north east"}, qrels)
    for row in report.rows.values():
        named = f"similarity {similarity}" in row.description
        assert (named, row["nDCG@10"]) == (similarity != "cosine", 1.0)
    assert report.rows["hnsw"].ann_recall == 1.0
    assert (f"similarity {similarity}" in " ".join(str(report).split())) == (similarity != "cosine")
    report.write_html(page := tmp_path / "page.html")
    assert (f"similarity {similarity}" in page.read_text("utf-8")) == (similarity != "cosine")
