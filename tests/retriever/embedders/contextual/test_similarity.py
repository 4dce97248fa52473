"""The similarity that a model declares or that is chosen decides vectors, ranking and scores."""

import json

import numpy as np
import pytest

from indexes.errors import InputError, MismatchError
from retriever import Collection, Document
from retriever.embedders import ContextualEmbedder
from retriever.embedders.contextual.loading import load
from retriever.embedders.contextual.model_info import EncodingOptions
from retriever.embedders.contextual.probes import likeness, probes_of, vectors_of
from tests.support.models.families import WORDS, save
from tests.support.toy import refused

SIMILARITIES = ["cosine", "dot", "euclidean"]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return save("bert", tmp_path_factory.mktemp("raw") / "bert")


def model_folder(raw, folder, similarity, *, normalize=False, truncate=None):
    """A sentence model that declares a similarity; its Dense layer makes lengths differ."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import (
        Dense,
        Normalize,
        Pooling,
        Transformer,
    )

    torch.manual_seed(5)
    wide = Dense(16, 16, activation_function=torch.nn.Identity())
    torch.nn.init.normal_(wide.linear.weight, std=4.0)
    parts = [Transformer(str(raw)), Pooling(16, pooling_mode="mean"), wide]
    parts += [Normalize()] if normalize else []
    options = {"device": "cpu", "similarity_fn_name": similarity, "truncate_dim": truncate}
    SentenceTransformer(modules=parts, **options).save(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="module", params=SIMILARITIES)
def declared(request, raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "model"
    return model_folder(raw, folder, request.param), request.param


def texts_of(count, words, seed=0):
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, words)) for _ in range(count)]


def by_the_model(folder, queries, documents, k):
    """The ranking and scores of sentence-transformers itself, by the model's similarity."""
    from sentence_transformers import SentenceTransformer, util

    model = SentenceTransformer(str(folder), device="cpu")
    found = util.semantic_search(
        model.encode_query(queries, convert_to_tensor=True),
        model.encode_document(documents, convert_to_tensor=True),
        top_k=k,
        score_function=model.similarity,
    )
    return [[(hit["corpus_id"], hit["score"]) for hit in hits] for hits in found]


def check_same_hits(answers, expected, share=1.0):
    """Check that every score is the model's, and that a share of the best is found on average."""
    shares = []
    for hits, wanted in zip(answers, expected, strict=True):
        of = dict(wanted)
        scores = [hit.score for hit in hits]
        assert scores == pytest.approx([of[int(hit.doc_id)] for hit in hits], rel=1e-4, abs=1e-4)
        assert scores == sorted(scores, reverse=True)
        last = wanted[len(hits) - 1][1]
        shares.append(np.mean(np.array(scores) >= last - 1e-4 * max(1, abs(last))))
    assert np.mean(shares) >= share


@pytest.fixture
def library(tmp_path):
    texts = texts_of(200, 6)
    library = Collection.create(tmp_path / "library")
    library.add(Document(str(n), text, metadata={"part": n % 3}) for n, text in enumerate(texts))
    return library, texts


def in_torch(folder, **options):
    return ContextualEmbedder(folder, runtime="torch", device="cpu", **options)


def find(library, index, queries, **options):
    return library.search_many(queries, index=index, k=20, **options)


def test_hits_of_every_index_are_those_of_the_models_own_similarity(library, declared):
    (library, texts), (folder, similarity) = library, declared
    embedder, queries = in_torch(folder), texts_of(12, 3, seed=1)
    assert embedder.similarity == similarity
    library.build("exact", embedder)
    expected = by_the_model(folder, queries, texts, len(texts))
    check_same_hits(find(library, "exact", queries), expected)
    for factory in ("HNSW32", "IVF4,Flat", "PQ8x4,RFlat"):
        name = factory.partition(",")[0]
        library.build(name, vectors="exact", ann=factory)
        check_same_hits(find(library, name, queries), expected, share=0.9)
    some = [n for n in range(len(texts)) if n % 3 == 1]
    found = by_the_model(folder, queries, [texts[n] for n in some], len(some))
    expected = [[(some[place], score) for place, score in hits] for hits in found]
    for name in ("exact", "HNSW32"):
        check_same_hits(find(library, name, queries, where={"part": 1}), expected, share=0.9)


def test_a_similarity_survives_the_process_and_is_shown(library, declared):
    (library, _), (folder, similarity) = library, declared
    library.build("own", in_torch(folder))
    (info,) = Collection.open(library.path).info().indexes
    assert info.similarity == similarity
    assert ("similarity" in info.description) == (similarity != "cosine")
    query = texts_of(1, 3)[0]
    assert Collection.open(library.path).search(query) == library.search(query)


def test_only_other_similarities_than_the_cosine_are_in_the_fingerprint(declared):
    folder, similarity = declared
    own, cosine = in_torch(folder), in_torch(folder, similarity="cosine")
    parts = json.loads(own.fingerprint)
    assert (parts["unit"], parts.get("similarity", "cosine")) == (
        similarity == "cosine",
        similarity,
    )
    assert (own.fingerprint == cosine.fingerprint) == (similarity == "cosine")
    assert cosine.spec.options["similarity"] == "cosine"
    noted = [note for note in cosine.notes if f"declares the similarity '{similarity}'" in note]
    assert len(noted) == (similarity != "cosine")
    assert not any("declares" in note for note in own.notes)
    lengths = np.linalg.norm(own.encode_documents(["water", "boats lie", " "]), axis=1)
    assert np.allclose(lengths, [1, 1, 0]) == (similarity == "cosine")
    assert lengths[2] == 0


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_a_model_that_normalizes_is_compared_by_the_cosine_unless_it_is_cut(
    raw, tmp_path, similarity
):
    folder = model_folder(raw, tmp_path / "model", similarity, normalize=True)
    assert in_torch(folder).similarity == "cosine"
    assert in_torch(folder, dim=4).similarity == similarity
    assert in_torch(folder, dim=16).similarity == "cosine"


def test_manhattan_distance_is_replaced_with_a_note(raw, tmp_path):
    embedder = in_torch(model_folder(raw, tmp_path / "model", "manhattan"))
    assert embedder.similarity == "euclidean"
    (note,) = embedder.notes
    assert "'manhattan'" in note
    assert "'euclidean'" in note
    refused(
        InputError,
        "similarity is 'manhattan'; expected",
        in_torch,
        tmp_path / "model",
        similarity="manhattan",
    )


def test_an_index_refuses_the_same_model_with_another_similarity(library, raw):
    (library, _) = library
    folder = model_folder(raw, library.path.parent / "model", None)
    library.build("cosine", in_torch(folder))
    library.build("dot", in_torch(folder, similarity="dot"))
    other = in_torch(folder, similarity="dot")
    refused(MismatchError, "by 'cosine', those of model by 'dot'", library.use, "cosine", other)


def test_a_runtime_has_to_keep_lengths_where_they_count(declared):
    folder, similarity = declared
    right = load(folder, "cpu", EncodingOptions())
    probes = probes_of(right.card)
    wanted = vectors_of(right, probes)
    assert likeness(right, probes, wanted).least == pytest.approx(1)
    of_double = likeness(right, probes, 2 * wanted).least
    assert of_double == pytest.approx(1 if similarity == "cosine" else 4 / 5)
