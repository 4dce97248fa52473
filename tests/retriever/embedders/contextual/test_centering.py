"""Texts and images of one model, each centered around its own mean."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import DamageError, InputError
from indexes.images import Image
from retriever import Collection, ContextualEmbedder, Document
from retriever.embedders import parse_spec
from retriever.embedders.base import Fittable
from retriever.embedders.contextual.images.centering import FEWEST, SAMPLE, Centers
from tests.support.laws import examples
from tests.support.models import clip
from tests.support.models.pictures import picture
from tests.support.toy import refused

BARE = Image.of_bytes(picture())


def vectors_of(rows):
    return lambda contents: np.array([rows[one] for one in contents], np.float32)


def test_a_center_is_the_mean_of_the_vectors_that_are_not_zeros():
    rows = {f"text {n}": [1, 0] if n % 2 else [0, 1] for n in range(FEWEST)} | {"unknown": [0, 0]}
    found = Centers.of([*rows, " "], 2, vectors_of(rows), vectors_of({}))
    assert (found.text.tolist(), found.image.tolist()) == ([0.5, 0.5], [0, 0])
    # The last one is at the center, and the one before is nothing.
    given = np.array([[1, 0], [0, 1], [0, 0], [0.5, 0.5]], np.float32)
    half = np.float32(np.sqrt(0.5))
    centered = [[half, -half], [-half, half], [0, 0], [half, half]]
    np.testing.assert_allclose(found.centered(given, "text"), centered, atol=1e-6)
    # Without images there is no center of theirs.
    assert found.centered(given[:2], "image").tolist() == given[:2].tolist()


def test_a_few_texts_have_no_center():
    few = [f"text {n}" for n in range(FEWEST - 1)]
    found = Centers.of(few, 1, lambda texts: np.ones((len(texts), 1), np.float32), vectors_of({}))
    assert found.text.tolist() == [0]


def test_contents_that_cannot_be_encoded_are_left_out():
    def encode(contents):
        if "bad" in contents:
            raise InputError("bad")
        return np.ones((len(contents), 1), np.float32)

    texts = [*["bad"] * 5, *["good"] * FEWEST]
    assert Centers.of(texts, 1, encode, encode).text.tolist() == [1]
    assert Centers.of(["bad"] * 20, 1, encode, encode).text.tolist() == [0]


def test_the_mean_of_many_is_that_of_a_uniform_sample():
    seen = []

    def encode(texts):
        seen.extend(texts)
        return np.array([[int(text) / 10_000] for text in texts], np.float32)

    numbers = list(map(str, range(10_000)))
    mean = float(Centers.of(numbers, 1, encode, encode).text[0])
    assert len(set(seen)) == SAMPLE
    assert abs(mean - 0.5) < 3 * np.sqrt(1 / 12 / SAMPLE)


@given(st.data())
@settings(max_examples=examples(30), deadline=None)
def test_a_gap_between_the_modalities_changes_nothing(data):
    """What is added to all vectors of a modality is taken out again."""
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    texts, images = draw.normal(size=(2, 20, 4)).astype(np.float32)
    apart = [(draw.normal(size=4) * 2).astype(np.float32) for _ in range(2)]
    places = [*range(20)]

    def scores(at_texts, at_images):
        centers = Centers((texts + at_texts).mean(axis=0), (images + at_images).mean(axis=0))
        documents = [
            centers.centered(texts + at_texts, "text"),
            centers.centered(images + at_images, "image"),
        ]
        return documents[0][places] @ np.concatenate(documents).T

    np.testing.assert_allclose(scores(*apart), scores(0, 0), atol=1e-4)


def test_damaged_parameters_are_noticed():
    kept = Centers(np.ones(3, np.float32), np.zeros(3, np.float32)).to_bytes()
    again = Centers.from_bytes(kept)
    assert (again.text.tolist(), again.image.tolist()) == ([1, 1, 1], [0, 0, 0])
    for bad in (b"", kept[:-1], kept[:-1] + b"\1", kept + b"\0"):
        refused(DamageError, "damaged", Centers.from_bytes, bad)


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    return clip.digits_clip_apart(tmp_path_factory.mktemp("clip") / "apart", 5.0)


@pytest.fixture(scope="module")
def mixed():
    """Of each of 100 digits either the image or a caption."""
    files, shown = clip.unseen(100)
    return [
        Document(f"{n}", image=data) if n % 2 else Document(f"{n}", clip.caption(digit))
        for n, (data, digit) in enumerate(zip(files, shown, strict=True))
    ]


def found_images(collection, index):
    """Return the share of the images of a digit among the hits of its name, as many as there are.

    The captions of the digit come before or among them.
    """
    shown, shares = clip.unseen(100)[1], []
    for digit, hits in enumerate(collection.search_many(clip.NAMES, index=index, k=100)):
        of_it = [hit for hit in hits if shown[int(hit.doc_id)] == digit]
        wanted = {hit.doc_id for hit in of_it if int(hit.doc_id) % 2}
        shares.append(len(wanted & {hit.doc_id for hit in hits[: len(of_it)]}) / len(wanted))
    return float(np.mean(shares))


def test_centering_brings_back_the_images_that_texts_outrank(apart, mixed, tmp_path):
    natural = ContextualEmbedder(clip.digits_clip(), runtime="torch")
    with Collection.create(tmp_path / "c") as collection:
        collection.add(mixed)
        collection.build("natural", natural)
        collection.build("apart", ContextualEmbedder(apart, runtime="torch"))
        report = collection.build(
            "centered", ContextualEmbedder(apart, runtime="torch", center=True)
        )
        assert report.fitted_texts == 100
        found = {name: found_images(collection, name) for name in collection.index_names()}
        assert found["apart"] < 0.5 < 0.85 < found["natural"]
        assert abs(found["centered"] - found["natural"]) < 0.05
        # A search by an image is centered as the images.
        hit = collection.search(image=mixed[1].image, index="centered", k=1)[0]
        assert (hit.doc_id, round(hit.score, 5)) == ("1", 1.0)
    with Collection.open(tmp_path / "c") as again:  # parameters and model are loaded
        assert found_images(again, "centered") == found["centered"]
        assert again.build("centered", refit=True).embedded == 0
        again.add([Document("more", "seven")])
        assert again.build("centered").embedded == 1
        fitted = again.embedder("centered").parameters
        again.build("centered", refit=True)
        assert again.embedder("centered").parameters != fitted


def test_centers_are_fitted_parameters(apart, tmp_path):
    files = [Image.of(data) for data in clip.unseen(20)[0]]
    gone = Image("gone.png", "0" * 64, tmp_path / "gone.png")
    embedder = ContextualEmbedder(apart, runtime="torch", center=True)
    refused(InputError, "not fitted on a corpus", embedder.encode_queries, ["seven"])
    assert isinstance(embedder, Fittable)
    fitted = embedder.fitted([*files, gone, *clip.WORDS])
    assert (embedder.needs_fit, fitted.needs_fit) == (True, False)
    assert (
        embedder.spec == fitted.spec == parse_spec(f"contextual:{apart}", dict(fitted.spec.options))
    )
    again = embedder.with_parameters(fitted.parameters)
    prints = {one.fingerprint for one in (embedder, fitted, again, embedder.fitted(files))}
    assert (len(prints), again.fingerprint) == (3, fitted.fingerprint)
    texts = fitted.encode_documents([*clip.WORDS, ""])
    np.testing.assert_allclose(texts[:-1].mean(axis=0), 0, atol=0.2)
    assert not texts[-1].any()
    refused(
        DamageError, "other options", ContextualEmbedder(apart).with_parameters, fitted.parameters
    )


def test_center_needs_two_modalities_and_the_cosine(apart, tmp_path):
    from tests.support.models.families import save

    text_only = save("bert", tmp_path / "bert")
    for place, options, message in (
        (text_only, {}, "bert encodes only text: there are no images .* Leave center out"),
        (apart, {"similarity": "dot"}, "center needs the similarity cosine"),
    ):
        with pytest.raises(InputError, match=message):
            ContextualEmbedder(place, runtime="torch", center=True, **options)
