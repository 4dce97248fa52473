"""The hashing embedder: vectors by hand; and what an index accepts as an embedder."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import InputError
from retriever.embedders import Embedder, HashingEmbedder, modalities_of
from tests.support.toy import Axes, build_axes, ids, refused


def test_one_word_is_one_coordinate():
    crc = zlib.crc32(b"apple")
    expected = np.zeros(16)
    expected[(crc >> 1) % 16] = -1 if crc & 1 else 1
    assert HashingEmbedder(16).encode_documents(["Apple!"]).tolist() == [expected.tolist()]


def test_vectors_are_the_same_on_every_machine():
    # CRC-32 of "a" is 0xE8B7BE43 (odd: -1, at 0x745BDF21 % 4 = 1), of "b" 0x71BEEFF9 (odd: -1,
    # at 0x38DF77FC % 4 = 0).
    vector = HashingEmbedder(4).encode_queries(["a b a"])[0]
    np.testing.assert_allclose(vector, np.array([-1, -2, 0, 0]) / np.sqrt(5), rtol=1e-6)


def test_no_words_give_zeros_and_no_texts_no_rows():
    embedder = HashingEmbedder(8)
    assert embedder.encode_documents(["", " … "]).tolist() == [[0.0] * 8] * 2
    assert embedder.encode_documents([]).shape == (0, 8)


def test_it_is_an_embedder_with_a_name_and_a_fingerprint():
    embedder = HashingEmbedder()
    assert isinstance(embedder, Embedder)
    assert (embedder.name, embedder.dim) == ("hashing-256", 256)
    assert embedder.fingerprint == HashingEmbedder(256).fingerprint
    assert embedder.fingerprint != HashingEmbedder(255).fingerprint


def test_dimensions_are_1_to_65536():
    assert HashingEmbedder(65_536).encode_documents(["apple"]).shape == (1, 65_536)
    for dim in (0, -1, 2.0, True, "8", 65_537, 10**30):
        refused(InputError, "expected a whole number from 1 to 65,536", HashingEmbedder, dim)


@given(st.lists(st.text("ab é,", max_size=12), max_size=8))
def test_a_text_has_its_vector_alone_and_in_a_batch(texts):
    embedder = HashingEmbedder(8)
    for text, vector in zip(texts, embedder.encode_documents(texts), strict=True):
        assert embedder.encode_documents([text])[0].tolist() == vector.tolist()
        assert np.linalg.norm(vector) == pytest.approx(1) or not vector.any()


def test_bad_texts_are_refused_by_position():
    encode = HashingEmbedder(8).encode_documents
    refused(InputError, "Put it into a list", encode, "one text")
    refused(InputError, "Text 1 is int; expected text", encode, ["a", 3])
    refused(InputError, "Text 1 is not valid Unicode at character 1", encode, ["a", "b\udc80"])


def test_an_embedder_encodes_text_unless_it_says_otherwise(collection):
    class Pictures(HashingEmbedder):
        modalities = ("audio",)

    own = Axes()  # has no modalities
    assert isinstance(own, Embedder)
    assert [modalities_of(each) for each in (HashingEmbedder(8), own)] == [("text",), ("text",)]
    assert modalities_of(Pictures(8)) == ("audio",)
    message = "hashing-8 encodes audio; the passages of a collection are texts and images"
    build_axes(collection, a="east")
    refused(InputError, message, collection.build, "pictures", Pictures(8))
    assert ids(collection.search("east", index="axes")) == ["a"]
