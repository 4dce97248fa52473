"""Searches by an image: over HTTP, and on the page, where a file is chosen."""

import base64

import pytest

from retriever import Collection, Document
from tests.support.models import clip
from tests.support.services.browser import assert_no_errors, browser, one, opened, texts, until
from tests.support.services.clients import app_of, asked, listening

NUMBER = 40


@pytest.fixture(scope="module")
def pictures():
    """PNG files of handwritten digits that the model has not seen, and what they show."""
    pytest.importorskip("PIL")
    return clip.unseen(NUMBER)


@pytest.fixture(scope="module")
def library(tmp_path_factory, pictures):
    """Images with captions, in an index of images, one of words, and both fused."""
    documents = [
        Document(f"{number}-{digit}", clip.caption(digit), image=data)
        for number, (data, digit) in enumerate(zip(*pictures, strict=True))
    ]
    with Collection.create(tmp_path_factory.mktemp("images") / "digits") as collection:
        collection.add(documents)
        collection.build("clip", f"contextual:{clip.digits_clip()}")
        collection.build("words", lexical=True)
        collection.fuse("fused", ["clip", "words"])
    return collection.path


@pytest.fixture(scope="module")
def client(library):
    with asked(library) as client:
        yield client


def encoded(data):
    return base64.b64encode(data).decode()


def detail(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["detail"]


@pytest.mark.model
@pytest.mark.parametrize("index", ["clip", "fused"])
def test_an_image_finds_what_the_library_finds_for_it(client, library, pictures, index):
    for data in pictures[0][:3]:
        with Collection.open(library) as collection:
            hits = collection.search(image=data, index=index, k=5)
        body = {"image": encoded(data), "indexes": [index], "k": 5}
        ((answer),) = client.post("/search", json=body).json()["answers"]
        assert [hit["doc_id"] for hit in answer["hits"]] == [hit.doc_id for hit in hits]


@pytest.mark.model
def test_without_indexes_those_that_encode_images_answer(client, pictures):
    answers = client.post("/search", json={"image": encoded(pictures[0][0])}).json()["answers"]
    assert [one["index"] for one in answers] == ["clip", "fused"]
    assert answers[0]["hits"][0]["doc_id"] == f"0-{pictures[1][0]}"


@pytest.mark.model
@pytest.mark.parametrize("given", ["/etc/hostname", "http://127.0.0.1/a.png", "a b", "é"])
def test_a_path_or_an_address_is_not_opened(client, given):
    assert "not in base64" in detail(client.post("/search", json={"image": given}), 422)


@pytest.mark.model
def test_bytes_that_are_no_image_and_indexes_without_images_are_refused(client, pictures):
    body = {"image": encoded(b"no image"), "indexes": ["clip"]}
    assert "image" in detail(client.post("/search", json=body), 422)
    body = {"image": encoded(pictures[0][0]), "indexes": ["words"]}
    assert "encodes only text" in detail(client.post("/search", json=body), 422)
    body = {"image": encoded(pictures[0][0]), "query": "three"}
    assert "Give one of these" in detail(client.post("/search", json=body), 422)


def test_a_library_without_such_an_index_says_how_to_build_one(docs):
    with asked(docs) as client:
        said = detail(client.post("/search", json={"image": encoded(b"x")}), 422)
    assert said.startswith("docs/ has no index that encodes images. Build one: ")


@pytest.mark.model
@pytest.mark.exhaustive
def test_a_file_that_is_chosen_on_the_page_is_searched_by(library, pictures, tmp_path):
    file, text = tmp_path / "query.png", tmp_path / "text.png"
    file.write_bytes(pictures[0][0])
    text.write_text("no image")
    with browser(tmp_path / "profile") as driver, listening(app_of(library)) as (_, port):
        driver.implicitly_wait(10)
        site = f"http://127.0.0.1:{port}"
        opened(driver, f"{site}/page/search?i=clip&i=words&q=three", width=360)
        one(driver, "#image").send_keys(str(file))
        first = f"0-{pictures[1][0]}"
        script = (
            "return document.querySelector('.like-image')"
            " && document.querySelector('.hit').dataset.doc"
        )
        assert until(driver, script, first) == first
        assert one(driver, "#q").get_attribute("value") == ""
        assert "encodes only text" in texts(driver, ".column .problem")[0]
        assert_no_errors(driver, site)
        one(driver, "#image").send_keys(str(text))
        script = "return document.querySelectorAll('.column .problem').length"
        assert until(driver, script, 2) == 2
        one(driver, "#q").send_keys("three")
        script = "return document.querySelector('.like-image') === null"
        assert until(driver, script, True)
        assert_no_errors(driver, site)
