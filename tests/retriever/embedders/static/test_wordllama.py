"""WordLlama, read from its package's files: the vectors of the package itself."""

import numpy as np
import pytest

from retriever.embedders.hub import WORDLLAMA_TABLE, WORDLLAMA_TOKENIZER, locate_words
from retriever.embedders.registry import load_embedder, parse_spec
from retriever.embedders.static.embedder import StaticEmbedder
from tests.support.models.families import TEXTS


@pytest.fixture(scope="module")
def package():
    """The package's own inference over its files, which it cannot load without a network."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer
    from wordllama.inference import WordLlamaInference

    folder = locate_words("wordllama")
    table = load_file(folder / "weights" / WORDLLAMA_TABLE)["embedding.weight"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / WORDLLAMA_TOKENIZER))
    return WordLlamaInference(table.astype(np.float32), tokenizer)


def test_vectors_equal_those_of_the_package(package):
    embedder = load_embedder(parse_spec("static:wordllama", {}))
    assert (embedder.name, embedder.dim) == ("wordllama", 256)
    expected = package.embed(TEXTS, norm=True)
    np.testing.assert_allclose(embedder.encode_documents(TEXTS), expected, rtol=0, atol=1e-6)
    for text, row in zip(TEXTS, expected, strict=True):
        np.testing.assert_allclose(embedder.encode_queries([text])[0], row, rtol=0, atol=1e-6)


def test_its_folder_is_the_same_model_and_a_text_without_tokens_is_not_found():
    embedder = StaticEmbedder(locate_words("wordllama"))
    assert embedder.fingerprint == StaticEmbedder("wordllama").fingerprint
    assert not embedder.encode_documents([""]).any()
