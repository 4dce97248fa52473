"""The pages of the service as HTML: what they say, refuse and write."""

import re
from html import unescape
from html.parser import HTMLParser

import pytest

from retriever.formats import read_qrels, read_queries
from retriever.search.metadata_fields import NUMBER, MetadataField
from retriever.search.where_parser import parse_where
from retriever.service.page.filters import filter_text
from retriever.service.page.rendering import POLICY
from tests.support.services.clients import asked, make_library
from tests.support.services.page_library import HOSTILE, NAME, make_page_library


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return make_page_library(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def judgments(tmp_path):
    return tmp_path


@pytest.fixture
def client(library, judgments):
    with asked(library, judgments=judgments) as one:
        yield one


class Elements(HTMLParser):
    """All elements of a page, with their attributes."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def words(response):
    """The texts of a page, without tags, in one line."""
    body = re.search("<main[^>]*>(.*)</main>", response.text, re.DOTALL)[1]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def judged(client, **fields):
    given = {"q": "cat", "doc": "cat", "grade": "1", "found": "glove words", **fields}
    return client.post("/page/judge", data=given, follow_redirects=False)


def test_the_start_page_lists_libraries_with_their_indexes_and_notes(client, tmp_path):
    said = words(client.get("/"))
    assert NAME in said
    assert "Documents 7" in said
    assert re.search(r"glove static:\S+ 6 0 0", said)
    assert "'glove': 1 document has nothing that" in said
    other = make_library(tmp_path / "other")
    with asked(client.state.settings.libraries[0], other) as several:
        assert f"Libraries {NAME}" in words(several.get("/"))
        assert words(several.get("/page/search")).startswith("Not possible Say which collection")
        assert several.get("/page/search", params={"library": "other"}).status_code == 200


def test_every_page_runs_and_loads_only_what_is_its_own(client):
    for path in ("/", "/page/search?q=cat", "/page/map?q=cat", "/page/judgments", "/page/none"):
        response = client.get(path)
        assert response.headers["content-security-policy"] == POLICY
        elements = Elements()
        elements.feed(response.text)
        for tag, attributes in elements.found:
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            is_data = attributes.get("type") == "application/json"
            if tag == "script" and not is_data:
                assert attributes["src"].startswith("/page/assets/")
            assert tag not in ("style", "iframe", "object", "base")
            assert not str(attributes.get("href", "")).startswith("javascript:")
    assert "unsafe" not in POLICY
    for name in re.findall(r'"(/page/assets/[^"]+)"', client.get("/page/search").text):
        assert "immutable" in client.get(name).headers["cache-control"]
    assert client.get("/page/assets/../app.py").status_code == 404
    assert client.get("/page/assets/..%2Frendering.py").status_code == 404


def test_a_query_is_answered_side_by_side_with_what_only_one_finds(client):
    said = words(client.get("/page/search?q=purrs+zzqx&i=glove&i=words"))
    assert "only by glove" in said
    assert "1 by both" in said
    assert "1 of 2 words known ; not known: zzqx" in said
    assert "encoding" in said
    marked = re.findall("<mark>(.*?)</mark>", client.get("/page/search?q=purr&i=words").text)
    assert marked == ["purrs"]


def test_documents_like_one_are_found_and_an_unknown_one_is_named(client):
    assert "Documents like cat" in words(client.get("/page/search?like=cat&i=glove"))
    assert 'name="like" value="cat"' in client.get("/page/search?like=cat").text
    assert "Documents like" not in words(client.get("/page/search?like=cat&q=engine"))
    response = client.get("/page/search?like=no-such")
    assert (response.status_code, "No document 'no-such'" in words(response)) == (404, True)


def test_filters_by_controls_and_by_text_restrict_together(client):
    given = {
        "q": "cat car",
        "i": "words",
        "from.year": "2021",
        "where": "topic = cars or year = 2022",
    }
    said = words(client.get("/page/search", params=given))
    assert "Filter: year >= 2021 and (topic = cars or year = 2022)" in said
    assert client.get("/page/search", params=given).text.count("data-doc=") == 2
    for bad, why in (
        ({"from.year": "soon"}, "expected a number"),
        ({"from.year": "1_000"}, "expected a number"),
        ({"where": "year >"}, "expected a value"),
        # Its brackets are balanced only within those that surround it.
        ({"is.topic": "cars", "where": "year = 1) or (year > 0"}, "found ')'"),
    ):
        response = client.get("/page/search", params={"q": "cat", **bad})
        assert (response.status_code, why in words(response)) == (422, True)


def test_no_name_or_value_of_a_control_says_more_than_one_condition():
    given = {"is.a or b": 'x" or "y" = "y', 'is."q': "1"}
    assert filter_text((), {"is.a or b": given["is.a or b"]}, "") == (
        '"a or b" = "x\\" or \\"y\\" = \\"y"'
    )


@pytest.mark.parametrize("number", ["9007199254740993", "-0.5", "2e3"])
def test_a_number_of_a_control_is_that_of_a_typed_filter(number):
    field = MetadataField("n", NUMBER, 2)
    by_control = parse_where(filter_text([field], {"from.n": number}, ""))
    assert by_control == parse_where(f"n >= {number}")


def test_judgments_are_written_for_compare_and_withdrawn(client, judgments):
    assert judged(client, back="/page/search?q=cat").headers["location"] == "/page/search?q=cat"
    judged(client, doc=HOSTILE, grade="0")
    judged(client, doc="car", grade="unsure")
    answer = client.post(
        "/page/judge",
        data={"q": "engine", "doc": "car", "grade": "1"},
        headers={"Accept": "application/json"},
    )
    assert answer.json() == {"grade": "1", "judged": 4}
    path = judgments / f"{NAME}.csv"
    assert read_qrels(path) == {"q1": {"cat": 1, HOSTILE: 0}, "q2": {"car": 1}}
    assert read_queries(judgments / f"{NAME}.queries.jsonl") == {"q1": "cat", "q2": "engine"}
    page = client.get("/page/search?q=cat&i=words").text
    assert page.count('value="" aria-pressed="true"') == 1
    said = words(client.get("/page/judgments"))
    assert "2 queries, 4 judged documents" in said
    assert "retriever compare" in said
    judged(client, grade="")
    assert read_qrels(path) == {"q1": {HOSTILE: 0}, "q2": {"car": 1}}


def test_what_is_judged_is_compared_as_a_report_under_its_own_policy(client):
    assert client.get("/page/comparison").status_code == 422
    judged(client)
    judged(client, q="engine", doc="car")
    response = client.get("/page/comparison?i=words&i=floor")
    assert "Quality" in response.text
    assert "sha256-" in response.headers["content-security-policy"]
    assert client.get("/page/comparison?i=no").status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}, 303),
    ],
)
def test_only_the_page_itself_can_have_a_browser_judge(client, judgments, headers, status):
    fields = {"q": "cat", "doc": "cat", "grade": "1"}
    sent = client.post("/page/judge", data=fields, headers=headers, follow_redirects=False)
    assert sent.status_code == status
    assert (judgments / f"{NAME}.csv").exists() == (status == 303)


def test_judgments_that_cannot_be_written_are_refused_with_a_sentence(client, library):
    for fields, why in (
        ({"grade": "5"}, "The grade is '5'"),
        ({"doc": "no"}, "No document 'no'"),
        ({"q": " "}, "no query to judge"),
        ({"q": "x" * 501}, "more than 500 characters"),
    ):
        assert why in words(judged(client, **fields))
    assert "expected the form" in words(client.post("/page/judge", json={"q": "cat"}))
    for back in ("//evil.example/", "https://evil.example/", "/page/\r\nX: 1"):
        assert judged(client, back=back).headers["location"] == "/"
    with asked(library) as off:
        assert "Judging is off" in words(judged(off))
        assert "--judgments" in words(off.get("/page/judgments"))
        assert "Relevant" not in words(off.get("/page/search?q=cat"))


def test_errors_are_pages_with_our_sentence(client):
    for path, status, why in (
        ("/page/none", 404, "There is no page at this address."),
        ("/page/document?id=no", 404, "No document 'no'"),
        ("/page/search?library=no", 404, "No collection 'no'"),
        ("/page/search?q=cat&k=0", 422, "expected a number from 1 to"),
        ("/page/search?q=cat&i=no", 404, "No index 'no'"),
        ("/page/map?a=words", 422, "no vectors of its own"),
        ("/page/word?w=cat", 422, "has no index of a contextual embedder"),
    ):
        response = client.get(path)
        assert (response.status_code, why in words(response)) == (status, True), path


def test_no_parameter_makes_a_page_fail(client):
    names = (
        "q",
        "i",
        "k",
        "where",
        "like",
        "id",
        "w",
        "a",
        "color",
        "method",
        "is.year",
        "to.a..b",
    )
    paths = ("search", "document", "map", "word", "judgments", "comparison")
    for value in ("\0", '"', "1e999", HOSTILE):
        for path in paths:
            everything = dict.fromkeys(names, value)
            for given in (everything, {"q": "cat", "i": "words", "is.topic": value, "a": "glove"}):
                status = client.get(f"/page/{path}", params=given).status_code
                assert status in (200, 404, 422), (path, value)


def test_a_map_shows_documents_of_two_indexes_with_the_hits_of_a_query(client):
    text = client.get("/page/map?a=glove&b=floor&q=cat&color=topic").text
    assert text.count('<svg class="map"') == 2
    assert len(re.findall('class="ring"', text)) >= 6
    assert text.count('class="asked"') == 2
    said = words(client.get("/page/map?a=glove&b=floor&color=topic"))
    assert "of the variance." in said
    assert "pets 1" in said


def test_an_answer_follows_a_commit_of_another_process(library, tmp_path):
    from retriever import Collection

    own = make_library(tmp_path / "own")
    with asked(own) as client:
        assert "Documents 3" in words(client.get("/"))
        with Collection.open(own) as writer:
            writer.add([{"id": "new", "text": "a new document", "color": "red"}])
        assert "Documents 4" in words(client.get("/"))
        assert "'floor' yet" in words(client.get("/"))
        assert "is.color" in client.get("/page/search").text
