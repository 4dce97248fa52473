"""TREC topics: as the tracks publish them, and as they are written here."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexes.errors import FileFormatError, InputError
from retriever.formats import read_queries, write_queries
from tests.support.sources.records import TREC_IDS, reasons_by_place, set_stdin, write
from tests.support.toy import refused

# TREC 2004's Robust track, shortened: no closing tags but of the topic.
CLASSIC = """
<top>

<num> Number: 301
<title> International Organized Crime

<desc> Description:
Identify organizations that participate in international criminal
activity, the activity, and, if possible, collaborating organizations
and the countries involved.

<narr> Narrative:
A relevant document must as a minimum identify the organization < 5 others.

</top>

<top>
<num> Number: 302
<title> Poliomyelitis and
        Post-Polio
<desc> Description:
Is the disease of Poliomyelitis (polio) under control in the world?
</top>
"""
CLASSIC_QUERIES = {"301": "International Organized Crime", "302": "Poliomyelitis and Post-Polio"}

# Characters that matter to a reader of topics come often.
AWKWARD = st.text("<>&;#x10 \n\t\r\u2028aTopic:/", min_size=1)
TEXTS = (AWKWARD | st.text(min_size=1)).filter(str.strip)


@pytest.mark.parametrize("name", ["q.topics", "q.trec", "q.xml", "q.SGML", "q.trec.gz", "q.txt"])
def test_the_title_of_a_classic_topic_is_its_query(tmp_path, name):
    queries = read_queries(write(tmp_path / name, "\ufeff" + CLASSIC))
    assert list(queries.items()) == list(CLASSIC_QUERIES.items())


def test_closing_tags_and_the_case_of_tags_make_no_difference(tmp_path):
    open_tags = "<top><num>Number: 051<title>Topic:  Airbus\nSubsidies<desc>x<top><num>52<title>y"
    closed = "<TOP>\r\n<NUM>051</NUM>\r\n<Title>Airbus Subsidies</Title>\r\n</TOP>"
    closed += "<top><num>52</num> <title>y</title><con> 1. z </con></top>"
    for content in (open_tags, closed):
        queries = read_queries(write(tmp_path / "q.topics", content))
        assert queries == {"051": "Airbus Subsidies", "52": "y"}


def test_topics_of_newer_tracks(tmp_path):
    content = """<?xml version="1.0" encoding="UTF-8"?>
<!-- made by <top> hands -->
<topics task="covid">
  <topic number="1">
    <query>coronavirus <i>origin</i> &amp; host</query>
    <question>what is the origin of COVID-19</question>
  </topic>
  <topic number='2' type="faceted"><title>a title</title><query>no</query></topic>
  <topic number="3">
    A 45-year-old man with
    p &lt; 0.05.
  </topic>
  <topic id="d"><title><![CDATA[ mice & men <b> ]]></title></topic>
</topics>
"""
    assert read_queries(write(tmp_path / "q.xml", content)) == {
        "1": "coronavirus origin & host",
        "2": "a title",
        "3": "A 45-year-old man with p < 0.05.",
        "d": "mice & men <b>",
    }


def test_what_is_no_tag_or_topic_is_text(tmp_path):
    title = "AT&T, p < 0.05, a<b@c.d>, 3<4>2, &copy; &LT &#99999999; &#x1F600;"
    content = f"<top><num>1<title>{title}</top>"
    expected = title.replace("&#x1F600;", "\N{GRINNING FACE}")
    assert read_queries(write(tmp_path / "q.topics", content)) == {"1": expected}
    path = write(tmp_path / "q.txt", "topology\n<topaz> stones\n<top>\n")
    assert read_queries(path) == {"1": "topology", "2": "<topaz> stones", "3": "<top>"}


def test_the_format_may_be_given_by_name(tmp_path, monkeypatch):
    assert read_queries(write(tmp_path / "q", CLASSIC), format="trec") == CLASSIC_QUERIES
    set_stdin(monkeypatch, CLASSIC.encode())
    assert read_queries("-", format="trec") == CLASSIC_QUERIES


def test_all_bad_topics_are_reported_together(tmp_path):
    content = b"""<top><num>1<title>fine</top>
<top><num>1<title>again</top>
<top><title>x</top>
<top><num>2<desc>no title</top>
<top><num>3<title>\x20
</top>
<num>4<title>lost</top>
<top><num>5<title>x<num>6<title>y</top>
<top><num>7<title>a<title>b</top>
<top><num>8<title>&#xd800;</top>
<top><num>9<title>caf\xe9</top>"""
    assert reasons_by_place(read_queries, write(tmp_path / "q.topics", content)) == {
        ":2": "query id '1' was given before",
        ":3": "a topic without a number: expected <num>, or number= in it",
        ":4": "topic '2' has no <title> and no <query>",
        ":5": "'text' is empty",
        ":7": "<num> outside of a topic; no <top>",
        ":8": "<num> twice in a topic; is a <top> missing?",
        ":9": "<title> twice in a topic; is a <top> missing?",
        ":10": "'text' is not valid Unicode",
        ":11": "invalid UTF-8 at byte 22",
    }


@pytest.mark.parametrize("content", ["", "\n", "q Q0 d 1 0.5 glove\n", "<topics></topics>"])
def test_a_file_without_topics_is_refused(tmp_path, content):
    message = r"q\.trec has no TREC topics\. Expected <top>"
    refused(FileFormatError, message, read_queries, write(tmp_path / "q.trec", content))


@pytest.mark.parametrize("ending", ["topics", "trec.gz"])
@given(queries=st.dictionaries(TREC_IDS, TEXTS, min_size=1))
@example(queries={"Number:": "Topic: x", "&lt;": "Topic:", "<top>": "<num>&#10;  a \n"})
def test_queries_written_as_topics_are_read_back_unchanged(tmp_path_factory, ending, queries):
    path = tmp_path_factory.mktemp("law") / f"q.{ending}"
    write_queries(path, queries)
    assert list(read_queries(path).items()) == list(queries.items())


def test_topics_are_written_with_open_tags_and_escaped_text(tmp_path):
    write_queries(tmp_path / "q.topics", {"301": "organized crime", "302": "p < 0.05\nhere"})
    assert (tmp_path / "q.topics").read_text() == (
        "<top>\n<num> Number: 301\n<title> organized crime\n</top>\n\n"
        "<top>\n<num> Number: 302\n<title> p &lt; 0.05&#10;here\n</top>\n\n"
    )


@pytest.mark.parametrize(
    ("query_id", "message"),
    [
        ("my query", "The query id 'my query' holds white space, which separates TREC's columns"),
        ("\ufeffq", "begins with a byte-order mark"),
    ],
)
def test_an_id_that_does_not_fit_into_a_column_is_not_written(tmp_path, query_id, message):
    queries = {"a": "x", query_id: "x"}
    refused(InputError, message, write_queries, tmp_path / "q.topics", queries)
    assert list(tmp_path.iterdir()) == []
