"""The sparse embedder: the vectors of sentence-transformers, idf by hand, and refused models."""

import math

import numpy as np
import pytest

from indexes.errors import DamageError, InputError, ModelNotAvailableError
from retriever.embedders.registry import load_embedder, parse_spec
from retriever.embedders.sparse.embedder import SparseEmbedder
from tests.support.models.families import TEXTS, save, sentence_model
from tests.support.models.sparse import inference_free, splade
from tests.support.toy import refused


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return splade(tmp_path_factory.mktemp("sparse") / "tiny")


@pytest.fixture(scope="module")
def plain(folder):
    from sentence_transformers import SparseEncoder

    return SparseEncoder(str(folder), device="cpu", local_files_only=True)


def test_vectors_equal_those_of_sentence_transformers(folder, plain):
    embedder = SparseEmbedder(folder, batch_size=2)
    found = embedder.encode_documents(TEXTS)
    expected = plain.encode_document(TEXTS, convert_to_sparse_tensor=False).numpy()
    np.testing.assert_allclose(found.toarray(), expected, rtol=0, atol=1e-5)
    asked = plain.encode_query(TEXTS, convert_to_sparse_tensor=False).numpy()
    np.testing.assert_allclose(embedder.encode_queries(TEXTS), asked, rtol=0, atol=1e-5)
    assert embedder.dim == expected.shape[1]
    assert 0 < found.nnz < found.shape[0] * found.shape[1]


def test_a_text_without_words_has_no_weights(folder):
    embedder = SparseEmbedder(folder)
    rows = embedder.encode_documents(["", "bank", " \n"])
    assert np.diff(rows.tocsr().sorted_indices().indptr)[1] > 0
    assert not rows.toarray()[[0, 2]].any()
    assert not embedder.encode_queries(["", " "]).any()
    assert embedder.encode_documents([]).shape == (0, embedder.dim)


def test_long_texts_are_truncated_and_counted(folder, plain):
    lengths = [len(ids) for ids in plain.tokenizer(TEXTS)["input_ids"]]
    _, report = SparseEmbedder(folder).encode_and_report(TEXTS)
    assert (report.texts, report.truncated) == (len(TEXTS), sum(n > 40 for n in lengths))
    short = SparseEmbedder(folder, max_length=6)
    assert short.encode_and_report(TEXTS)[1].truncated == sum(n > 6 for n in lengths)
    longer = f"{TEXTS[3]} bank bank"
    rows = short.encode_documents([TEXTS[3], longer]).toarray()
    np.testing.assert_allclose(rows[0], rows[1], rtol=0, atol=1e-5)
    assert short.fingerprint != SparseEmbedder(folder).fingerprint


def test_a_model_with_weights_for_queries_of_their_own_uses_them(folder, tmp_path):
    from sentence_transformers import SparseEncoder

    place = inference_free(folder, tmp_path / "free")
    embedder = load_embedder(parse_spec(f"sparse:{place}", {}))
    router = SparseEncoder(str(place), device="cpu", local_files_only=True)
    asked = router.encode_query(["river bank"], convert_to_sparse_tensor=False).numpy()
    np.testing.assert_array_equal(embedder.encode_queries(["river bank"]), asked)
    assert embedder.fingerprint != SparseEmbedder(folder).fingerprint
    tokens = router[0].sub_modules["query"][0].tokenizer("river bank", add_special_tokens=False)
    assert set(np.flatnonzero(asked[0])) == set(tokens["input_ids"])


def test_queries_by_idf_count_each_token_by_its_rarity_in_the_corpus(folder, plain):
    embedder = SparseEmbedder(folder, queries="idf")
    refused(InputError, "has read none", embedder.encode_queries, ["bank"])
    fitted = embedder.fitted(["river", "river bank", "bank bank", "water"])
    assert embedder.needs_fit
    assert not fitted.needs_fit
    number = plain.tokenizer.get_vocab()
    [row] = fitted.encode_queries(["river river water"])
    wanted = {number["river"]: math.log1p(2.5 / 2.5), number["water"]: math.log1p(3.5 / 1.5)}
    assert {place: row[place] for place in np.flatnonzero(row).tolist()} == pytest.approx(wanted)
    in_parts = embedder.fitted_in_parts(
        ["river", "river bank", "bank bank", "water"],
        lambda lists: [embedder.part_of_fit([text]) for some in lists for text in some][::-1],
    )
    assert in_parts.parameters == fitted.parameters
    again = embedder.with_parameters(fitted.parameters)
    assert again.fingerprint == fitted.fingerprint != embedder.fingerprint
    np.testing.assert_array_equal(again.encode_queries(TEXTS), fitted.encode_queries(TEXTS))
    np.testing.assert_array_equal(
        fitted.encode_documents(TEXTS).toarray(), embedder.encode_documents(TEXTS).toarray()
    )
    refused(DamageError, "damaged", embedder.with_parameters, fitted.parameters[:-4])


def test_models_without_trained_sparse_vectors_are_refused(tmp_path):
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    bare = save("bert", tmp_path / "bare")
    refused(InputError, "bare gives no sparse vectors", SparseEmbedder, bare)
    dense = sentence_model(tmp_path / "dense", [Transformer(str(bare)), Pooling(16)])
    refused(InputError, "dense gives no sparse vectors", SparseEmbedder, dense)
    refused(ModelNotAvailableError, "No sparse model", SparseEmbedder, tmp_path / "none")
    refused(
        InputError, "queries is 'x'; expected one of: model, idf", SparseEmbedder, bare, queries="x"
    )
