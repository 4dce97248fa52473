"""MTEB's evaluation of our systems and embedders, offline, against our own measures."""

import pytest

pytest.importorskip("mteb", reason="the extra mteb is not installed")

import mteb

from indexes.errors import InputError
from retriever import Collection, StaticEmbedder, compare, read_qrels, read_queries
from retriever.integrations.mteb import CollectionSearch, EmbedderModel, retrieval_task
from tests.support.toy import COMPASS, QRELS, QUERIES, SECOND, Axes, refused

pytestmark = pytest.mark.filterwarnings("default")


def evaluated(model, task):
    result = mteb.evaluate(model, task, cache=None, show_progress_bar=False, co2_tracker=False)
    (only,) = result.task_results
    return only


def score(model, task):
    return evaluated(model, task).scores["test"][0]["ndcg_at_10"]


def toy():
    return retrieval_task("Compass", COMPASS, QUERIES, QRELS)


def test_an_embedder_and_an_index_by_it_get_the_score_worked_out_by_hand(tmp_path):
    assert score(EmbedderModel(Axes()), toy()) == round(SECOND, 5)
    system = CollectionSearch(tmp_path, "axes", lambda library: library.build("axes", Axes()))
    assert score(system, toy()) == round(SECOND, 5)
    # The collection is there already, and is used again.
    assert score(system, toy()) == round(SECOND, 5)
    system.close()


def test_results_have_the_form_of_mteb(tmp_path):
    model = EmbedderModel(Axes())
    result = evaluated(model, toy())
    result.to_disk(tmp_path / "Compass.json")
    again = type(result).from_disk(tmp_path / "Compass.json")
    assert again.task_name == "Compass"
    assert model.mteb_model_meta.name == "retriever/axes"
    assert len(model.mteb_model_meta.revision) == 12


def test_a_distance_and_a_task_of_reranking_are_refused(tmp_path):
    far = Axes()
    far.similarity = "euclidean"
    refused(InputError, "compared by 'euclidean'", EmbedderModel, far)
    system = CollectionSearch(tmp_path, "axes", lambda library: library.build("axes", Axes()))
    refused(InputError, "reranking", system.search, [], top_k=1, top_ranked={"q": ["n"]})
    refused(InputError, "Nothing was indexed yet", system.search, [], top_k=1)


@pytest.mark.model
def test_mteb_measures_on_adi_what_we_measure(data, tmp_path):
    folder = data / "adi"
    queries, qrels = read_queries(folder / "queries.jsonl"), read_qrels(folder / "qrels/test.tsv")

    def build(library):
        library.build("bm25", lexical=True)
        library.build("glove", StaticEmbedder("glove-6b-50d"))
        library.fuse("hybrid", ["bm25", "glove"])

    with Collection.create(tmp_path / "own") as library:
        library.add(folder / "corpus.jsonl")
        build(library)
        ours = compare(library, ["bm25", "glove", "hybrid"], queries, qrels, measures=["nDCG@10"])
        task = retrieval_task("ADI", library.documents(), queries, qrels)
    for name, row in ours.rows.items():
        system = CollectionSearch(tmp_path / "work", name, build if name == "bm25" else list)
        assert score(system, task) == pytest.approx(row["nDCG@10"], abs=1e-5), name
        system.close()
