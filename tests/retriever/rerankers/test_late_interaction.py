"""Late interaction: MaxSim as computed by hand and by the library, and models that are refused."""

import json
import shutil

import numpy as np
import pytest

from indexes.errors import InputError, ModelNotAvailableError
from retriever import Collection, Document
from retriever.rerankers.base import Candidate
from retriever.rerankers.late_interaction import LateInteractionReranker
from retriever.rerankers.registry import load_reranker, parse_reranker
from tests.support.commands import fail, succeed
from tests.support.models.families import TEXTS, save
from tests.support.models.rerankers import late_interaction
from tests.support.toy import refused

EXPANSION = {"strategy": "fixed", "attend": False, "length": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("models") / "tiny"
    return late_interaction(place, query_expansion=EXPANSION)


def candidates(texts=TEXTS):
    return [Candidate(str(place), text) for place, text in enumerate(texts)]


def test_a_score_adds_up_the_best_similarity_of_each_token_of_the_query(folder):
    from sentence_transformers import MultiVectorEncoder

    plain = MultiVectorEncoder(str(folder), local_files_only=True, device="cpu")
    reranker = LateInteractionReranker(folder, batch_size=2)
    for query in ("the river bank", "money!"):
        [asked] = plain.encode_query([query], convert_to_numpy=True)
        assert len(asked) == EXPANSION["length"]
        # In batches of as many texts: another number rounds otherwise.
        told = plain.encode_document(TEXTS, batch_size=2, convert_to_numpy=True)
        by_hand = [(asked @ one.T).max(axis=1).sum() for one in told]
        by_library = plain.similarity([asked], told).numpy()[0]
        found = reranker.scores(query, candidates())
        np.testing.assert_allclose(found, by_hand, rtol=0, atol=1e-5)
        np.testing.assert_allclose(found, by_library, rtol=0, atol=1e-5)
        assert len(set(found.round(4).tolist())) > 4
    assert reranker.scores("river", []).shape == (0,)


def test_what_changes_scores_changes_the_fingerprint_and_nothing_else_does(folder, tmp_path):
    reranker = LateInteractionReranker(folder)
    moved = shutil.copytree(folder, tmp_path / "moved")
    same = load_reranker(parse_reranker(f"late-interaction:{moved}", {"batch_size": "2"}))
    assert same.fingerprint == reranker.fingerprint
    settings = moved / "0_Transformer" / "sentence_bert_config.json"
    settings = settings if settings.exists() else moved / "sentence_bert_config.json"
    read = json.loads(settings.read_text())
    settings.write_text(json.dumps({**read, "document_length": 9}))
    assert LateInteractionReranker(moved).fingerprint != reranker.fingerprint


def test_folders_of_pylate_are_read(folder, tmp_path):
    pylate = shutil.copytree(folder, tmp_path / "pylate")
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "pylate.models.Dense.Dense"
    (pylate / "modules.json").write_text(json.dumps(modules[:2]))
    marks = {"query_prefix": "[Q] ", "document_prefix": "[D] ", "model_type": "ColBERT"}
    (pylate / "config_sentence_transformers.json").write_text(json.dumps(marks))
    found = LateInteractionReranker(pylate).scores("river", candidates())
    assert np.isfinite(found).all()
    assert found.argmax() != found.argmin()


def test_a_model_whose_projection_would_be_random_is_refused(tmp_path):
    from sentence_transformers import SentenceTransformer

    bare = save("bert", tmp_path / "bare")
    message = "was not trained for late interaction"
    refused(InputError, f"bare {message}", LateInteractionReranker, bare)
    SentenceTransformer(str(bare), device="cpu").save(str(tmp_path / "dense"))
    refused(InputError, f"dense {message}", LateInteractionReranker, tmp_path / "dense")
    absent = tmp_path / "none"
    refused(ModelNotAvailableError, "No late-interaction model", LateInteractionReranker, absent)


def test_the_command_line_ranks_and_refuses_as_python_does(folder, tmp_path):
    place = tmp_path / "library"
    with Collection.create(place) as collection:
        collection.add([Document(str(n), text) for n, text in enumerate(TEXTS[:4])])
        collection.build("bm25", lexical=True)
        collection.cascade("x", "bm25", rerank=f"late-interaction:{folder}")
        hits = collection.search("the river bank", index="x")
        assert len(hits) > 1
        assert collection.verify().problems == ()
    by = "--rerank-by", f"late-interaction:{folder}"
    lines = succeed("search", str(place), "the river bank", "-i", "bm25", *by, "--json")
    shown = [json.loads(line)["doc_id"] for line in lines.splitlines()]
    assert shown == [hit.doc_id for hit in hits]
    bare = save("bert", tmp_path / "bare")
    by = "--rerank-by", f"late-interaction:{bare}"
    assert "was not trained" in fail("search", str(place), "river", "-i", "bm25", *by)
