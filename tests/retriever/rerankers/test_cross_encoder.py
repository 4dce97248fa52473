"""Cross-encoders: the scores of sentence-transformers, and models that are refused."""

import numpy as np
import pytest

from indexes.errors import InputError, ModelNotAvailableError
from retriever.rerankers.base import Candidate
from retriever.rerankers.cross_encoder import CrossEncoderReranker
from retriever.rerankers.registry import load_reranker, parse_reranker
from tests.support.models.families import TEXTS
from tests.support.models.rerankers import cross_encoder
from tests.support.toy import refused

# The last two must be read as text.
DOCUMENTS = [*TEXTS, "http://127.0.0.1:1/cat.png", "/etc/passwd"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return cross_encoder(tmp_path_factory.mktemp("models") / "tiny")


def candidates(texts=DOCUMENTS):
    return [Candidate(str(place), text) for place, text in enumerate(texts)]


def test_scores_equal_those_of_sentence_transformers(folder):
    from sentence_transformers import CrossEncoder

    plain = CrossEncoder(str(folder), local_files_only=True)
    for query in ("the river bank", "/etc/passwd"):
        expected = plain.predict([(query, text) for text in DOCUMENTS], show_progress_bar=False)
        found = CrossEncoderReranker(folder).scores(query, candidates())
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        assert len(set(found.tolist())) > 4


def test_a_score_depends_on_its_own_text_only(folder):
    reranker = CrossEncoderReranker(folder, batch_size=2)
    together = reranker.scores("river", candidates())
    alone = [float(reranker.scores("river", [one])[0]) for one in candidates()]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    assert reranker.scores("river", []).shape == (0,)


def test_texts_are_read_in_their_normal_form(folder):
    reranker = CrossEncoderReranker(folder)
    as_seen = reranker.scores("the ri\u00adver", candidates(["o\ufb01ce bo\u00adats"]))
    np.testing.assert_array_equal(
        as_seen, reranker.scores("the river", candidates(["ofice boats"]))
    )


def test_a_limit_truncates_and_changes_the_fingerprint(folder, tmp_path):
    whole, short = CrossEncoderReranker(folder), CrossEncoderReranker(folder, max_length=12)
    assert whole.fingerprint != short.fingerprint
    words = TEXTS[3]
    assert short.scores("river", candidates([words])) == short.scores(
        "river", candidates([words + " more"])
    )
    same = load_reranker(parse_reranker(f"cross-encoder:{folder}", {"batch_size": "2"}))
    assert same.fingerprint == whole.fingerprint
    other = CrossEncoderReranker(cross_encoder(tmp_path / "other", seed=4))
    assert other.fingerprint != whole.fingerprint


def test_a_model_without_a_trained_head_for_one_score_is_refused(tmp_path):
    plain = cross_encoder(tmp_path / "plain", kind="BertModel")
    message = "lack 2 tensors that its scores depend on: classifier.bias, classifier.weight"
    refused(ModelNotAvailableError, message, CrossEncoderReranker, plain)
    several = cross_encoder(tmp_path / "several", labels=3)
    refused(InputError, "several gives 3 scores for a pair of texts", CrossEncoderReranker, several)
    refused(ModelNotAvailableError, "No cross-encoder", CrossEncoderReranker, tmp_path / "none")
