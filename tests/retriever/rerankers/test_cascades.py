"""Cascades whose second part is a model: they search, build, move and fail like any index."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest

from indexes.errors import InputError, MismatchError, ModelNotAvailableError, UnknownNameError
from retriever import Collection, Document, compare
from retriever.rerankers.base import Candidate
from retriever.rerankers.cross_encoder import CrossEncoderReranker
from retriever.rerankers.vilbert.reranker import VilbertReranker
from retriever.splitting import Words
from tests.support.commands import fail, invoke, misuse, succeed
from tests.support.models.pictures import GREEN, RED, Colors, picture
from tests.support.models.rerankers import cross_encoder, regions, vilbert, write_regions
from tests.support.toy import refused

TEXTS = {
    "a": "a red car",
    "b": "two men play ball on the grass",
    "c": "a cat on the grass",
    "d": "the dog and the cat in the rain",
    "e": "grass",
}


@pytest.fixture(scope="module")
def text_model(tmp_path_factory):
    return cross_encoder(tmp_path_factory.mktemp("text") / "tiny")


@pytest.fixture
def pictures(tmp_path):
    """A collection under BM25, and nothing else."""
    with Collection.create(tmp_path / "library") as collection:
        collection.add(Document(doc_id, text) for doc_id, text in TEXTS.items())
        collection.build("bm25", lexical=True)
        yield collection


@pytest.fixture
def image_model(data, tmp_path):
    return vilbert(data / "vilbert" / "multi_task", tmp_path / "model")


@pytest.fixture
def file(tmp_path):
    """Regions of all documents but `d`."""
    return write_regions(tmp_path / "r.npz", regions({"a": 3, "b": 5, "c": 2, "e": 4}))


def ranked(hits):
    return [(hit.doc_id, hit.score) for hit in hits]


def same(found, wanted):
    """Check that hits have the ids and, up to rounding, the scores that are wanted, in order."""
    assert [doc_id for doc_id, _ in found] == [doc_id for doc_id, _ in wanted]
    scores = [[score for _, score in one] for one in (found, wanted)]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-6)


def expected(reranker, query, found, k=10):
    """The candidates of a first search in the order of a reranker's scores, without the unread."""
    scores = reranker.scores(query, [Candidate(hit.doc_id, hit.text) for hit in found])
    order = np.argsort(-scores, kind="stable")
    known = [place for place in order.tolist() if scores[place] > -np.inf]
    return [(found[place].doc_id, float(scores[place])) for place in known][:k]


def test_the_candidates_of_the_first_are_ranked_by_the_model(pictures, text_model):
    report = pictures.cascade("x", "bm25", rerank=f"cross-encoder:{text_model}", depth=3)
    assert any("reads 3 texts for each query: about" in note for note in report.notes)
    reranker, query = CrossEncoderReranker(text_model), "cat grass"
    first = pictures.search(query, index="bm25", k=3)
    for k in (1, 2, 9):
        hits = pictures.search(query, index="x", k=k)
        same(ranked(hits), expected(reranker, query, first, k))
    assert pictures.search_many([query, "car"], index="x")[0] == pictures.search(query, index="x")
    assert not pictures.search("nothing", index="x")
    info = pictures.index_info("x")
    assert info.fingerprint == reranker.fingerprint
    assert info.embedder == f"bm25, then cross-encoder:{text_model} ranks its best 3"


def test_a_candidate_without_regions_is_left_out_and_named(pictures, image_model, file):
    options = {"regions": str(file)}
    report = pictures.cascade("v", "bm25", rerank=f"vilbert:{image_model}", options=options)
    assert report.notes[0] == "1 document has no regions for model, and will be left out."
    assert "model reads 4 images of 4 regions for each query: about" in report.notes[1]
    reranker, query = VilbertReranker(image_model, regions=str(file)), "the cat on the grass"
    hits = pictures.search(query, index="v")
    first = pictures.search(query, index="bm25")
    assert "d" in [hit.doc_id for hit in first]
    same(ranked(hits), expected(reranker, query, first))
    assert "1 candidate has no regions in r.npz and is left out: d." in hits.notes[0]
    assert not pictures.search("ball", index="v").notes


def test_images_that_an_index_found_by_what_they_show_are_ranked(image_model, file, tmp_path):
    colors = {"a": RED, "b": (250, 9, 9), "c": (200, 90, 0), "e": GREEN}
    with Collection.create(tmp_path / "photos") as photos:
        photos.add(Document(doc_id, image=picture(color)) for doc_id, color in colors.items())
        photos.build("colors", Colors())
        options = {"regions": str(file)}
        photos.cascade("v", "colors", rerank=f"vilbert:{image_model}", options=options, depth=3)
        first = photos.search("red", index="colors", k=3)
        assert [hit.doc_id for hit in first] == ["a", "b", "c"]
        reranker = VilbertReranker(image_model, regions=str(file))
        hits = photos.search("red", index="v")
        same(ranked(hits), expected(reranker, "red", first))
        assert all(hit.image is not None for hit in hits)
        message = "Index 'v' encodes only text: it cannot be searched by an image"
        refused(InputError, message, photos.search, image=picture(RED), index="v")


def test_a_cascade_is_part_of_others_and_of_a_comparison(pictures, text_model):
    pictures.cascade("x", "bm25", rerank=f"cross-encoder:{text_model}")
    pictures.fuse("both", ["bm25", "x"])
    pictures.cascade("again", "x", "bm25")
    says = "^'x' ranks by a model that reads each text, and in a convex fusion"
    for part in ("x", "both"):
        refused(InputError, says, pictures.fuse, "exact", ["bm25", part], method="convex")
    pictures.fuse("of-again", ["again", "both"])
    query = "cat grass"
    assert {hit.doc_id for hit in pictures.search(query, index="both")} == {"b", "c", "d", "e"}
    by_words = pictures.search(query, index="bm25")
    same(ranked(pictures.search(query, index="again")), ranked(by_words))
    # The scores of such a cascade are those of its second part.
    pictures.cascade("words-last", "bm25", "again")
    pictures.build("b2", lexical=True)
    pictures.fuse("exact", ["b2", "again"], method="convex")
    shares = [(doc_id, score / by_words[0].score) for doc_id, score in ranked(by_words)]
    same(ranked(pictures.search(query, index="exact")), shares)
    made = compare(pictures, ["bm25", "x"], {"1": query}, {"1": {"c": 1}})
    assert made.rows["x"].kind == "cascaded"
    assert made.rows["x"].latency.total.p50 > 0
    words = f"--cascade bm25 --rerank cross-encoder:{text_model} --depth 100"
    assert words in made.environment["index x"]


def test_the_best_passage_is_what_is_read(tmp_path, text_model):
    with Collection.create(tmp_path / "split", split=Words(4)) as collection:
        text = "The river runs far. People keep their money. Boats lie in water."
        collection.add([Document("long", text, title="Bank"), Document("short", "a red car")])
        collection.build("bm25", lexical=True)
        collection.cascade("x", "bm25", rerank=f"cross-encoder:{text_model}")
        [hit] = collection.search("money", index="x")
        found = CrossEncoderReranker(text_model).scores(
            "money", [Candidate("long", "Bank People keep their money.")]
        )
        assert hit.text == "People keep their money."
        assert hit.score == pytest.approx(float(found[0]), abs=1e-6)


def test_it_is_kept_for_other_processes_and_working_folders(
    pictures, image_model, file, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    options = {"regions": file.name}
    pictures.cascade("v", "bm25", rerank=f"vilbert:{image_model.name}", options=options)
    answer = pictures.search("cat", index="v")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)
    with pickle.loads(pickle.dumps(pictures)) as again:
        assert again.search("cat", index="v") == answer
        assert not again.build("v").embedded
        assert again.verify().problems == ()


def test_files_inside_the_collection_move_with_it(pictures, image_model, file, tmp_path):
    inside = pictures.path / "models"
    inside.mkdir()
    shutil.move(image_model, inside / "vil")
    shutil.move(file, inside / "r.npz")
    options = {"regions": str(inside / "r.npz")}
    pictures.cascade("v", "bm25", rerank=f"vilbert:{inside / 'vil'}", options=options)
    answer = pictures.search("cat", index="v")
    pictures.close()
    moved = shutil.move(pictures.path, tmp_path / "moved")
    with Collection.open(moved) as again:
        assert again.search("cat", index="v") == answer
        assert again.verify().problems == ()


def reopened(collection):
    collection.close()
    return Collection.open(collection.path)


def test_changed_or_missing_files_are_reported_and_refused(pictures, image_model, file):
    options = {"regions": str(file)}
    pictures.cascade("v", "bm25", rerank=f"vilbert:{image_model}", options=options)
    kept = file.read_bytes()
    write_regions(file, regions({"a": 3}))
    with reopened(pictures) as again:
        refused(
            MismatchError,
            "built with another model: regions was .*; is|regions was",
            again.search,
            "cat",
            index="v",
        )
        [problem] = again.verify().problems
        assert "was built with other regions than" in str(problem)
    file.unlink()
    with reopened(pictures) as again:
        refused(ModelNotAvailableError, "r.npz, which is missing", again.search, "cat", index="v")
        [problem] = again.verify().problems
        assert "r.npz, which is missing" in str(problem)
    file.write_bytes(kept)
    config = json.loads((image_model / "config.json").read_text())
    (image_model / "config.json").write_text(json.dumps({**config, "bi_num_attention_heads": 4}))
    with reopened(pictures) as again:
        refused(MismatchError, "config was", again.search, "cat", index="v")
    shutil.rmtree(image_model)
    with reopened(pictures) as again:
        refused(ModelNotAvailableError, "model, which is missing", again.search, "cat", index="v")
        assert len(again.verify().problems) == 1
        again.drop("v")
        assert again.verify().problems == ()


def test_what_cannot_be_a_cascade_is_refused_and_nothing_is_kept(
    pictures, text_model, image_model, file, tmp_path
):
    spec = f"cross-encoder:{text_model}"
    cascade = pictures.cascade
    refused(InputError, "needs one to rank", cascade, "x", "bm25")
    refused(InputError, "needs one to rank", cascade, "x", "bm25", "bm25", rerank=spec)
    refused(InputError, "options are those of a model", cascade, "x", "bm25", "f", options={"a": 1})
    refused(UnknownNameError, "No kind of reranker 'cross'", cascade, "x", "bm25", rerank="cross:m")
    refused(UnknownNameError, "No index 'bm'", cascade, "x", "bm", rerank=spec)
    refused(
        InputError,
        "No option 'regions' for cross-encoder",
        cascade,
        "x",
        "bm25",
        rerank=spec,
        options={"regions": "r.npz"},
    )
    other = str(write_regions(tmp_path / "o.npz", regions({"z": 2})))
    refused(
        InputError,
        "model can read none of the 5 documents",
        cascade,
        "x",
        "bm25",
        rerank=f"vilbert:{image_model}",
        options={"regions": other},
    )
    assert pictures.index_names() == ["bm25"]
    cascade("x", "bm25", rerank=spec)
    refused(MismatchError, "x", cascade, "x", "bm25", rerank=spec, depth=7)


def test_the_command_line_says_what_a_query_costs(pictures, text_model, image_model, file):
    pictures.close()
    library = str(pictures.path)
    done = invoke(
        "build",
        library,
        "v",
        "--cascade",
        "bm25",
        "--rerank",
        f"vilbert:{image_model}",
        "-o",
        "regions",
        str(file),
        "-o",
        "depth",
        "20",
    )
    assert done.exit_code == 0
    assert "ranks its best 20; nothing to build" in done.stdout
    assert "4 images of 4 regions for each query: about" in done.stderr
    assert json.loads(succeed("search", library, "cat", "-i", "v", "--json"))
    words = "build", library, "y", "--cascade", "bm25"
    assert "No option 'color'" in fail(
        *words, "--rerank", f"cross-encoder:{text_model}", "-o", "color", "red"
    )
    assert "-o is for --rerank KIND:MODEL" in misuse(*words, "--rerank", "v", "-o", "depth", "3")
    assert "expected a whole number" in misuse(
        *words, "--rerank", "cross-encoder:m", "-o", "depth", "no"
    )
