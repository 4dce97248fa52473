import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import BadRecordsError, InputError
from retriever import Document, Hit, Hits, Run
from retriever.search.results import Timing
from retriever.search.retriever import validate_texts
from tests.support.toy import ids, lacks, refused


@pytest.fixture
def compass(compass):
    compass.build("graph", vectors="axes", ann="HNSW8")
    return compass


def test_hits_are_a_sequence_of_hits_with_notes():
    first, second = Hit(1, "a", 0.5, "text"), Hit(2, "b", 0.25, "text")
    hits = Hits((first, second), ("a note",))
    assert len(hits) == 2
    assert list(hits) == [first, second]
    assert (hits[0], hits[-1], hits[:1]) == (first, second, (first,))
    assert second in hits
    assert hits.index(second) == 1
    assert hits.notes == ("a note",)
    assert hits == Hits((first, second), ("a note",))


def test_no_hits_are_false_and_empty():
    assert not Hits()
    assert list(Hits()) == []
    with pytest.raises(IndexError):
        Hits()[0]


def test_hits_cannot_be_written_to():
    refused(AttributeError, "cannot assign", setattr, Hit(1, "a", 0.5, "text"), "rank", 2)
    refused(AttributeError, "cannot assign", setattr, Hits(), "notes", ("x",))


def test_a_hit_of_a_search_is_like_one_made_by_hand(compass):
    (found,) = compass.search("up", index="axes", k=1)
    document = compass.document("u")
    by_hand = Hit(1, "u", 1.0, document.text, document.title, document.metadata, found.passage)
    assert found == by_hand
    assert repr(found) == repr(by_hand)
    assert vars(found) == vars(by_hand)
    assert dataclasses.replace(found, rank=2) == dataclasses.replace(by_hand, rank=2)
    with pytest.raises(AttributeError):
        found.rank = 2


def test_an_answer_comes_with_its_three_times(compass):
    assert Timing(1, 2, 4).total == 7
    hits, timing = compass.retriever("axes").answer(["north", "up"], 1)
    assert list(map(ids, hits)) == [["n"], ["u"]]
    assert min(timing.encoding, timing.searching, timing.fetching) > 0


def test_a_run_is_worked_out_by_hand(compass):
    # cosines of (0, 2, 1) / sqrt(5): east 2/sqrt(5), all 3/sqrt(15), up 1/sqrt(5), north 0.
    run = compass.retriever("axes").run({"q": "east east up"}, 10)
    assert (run.name, run.k) == ("axes", 10)
    assert run.ranking == {
        "q": [
            ("e", pytest.approx(2 / math.sqrt(5), abs=1e-6)),
            ("all", pytest.approx(3 / math.sqrt(15), abs=1e-6)),
            ("u", pytest.approx(1 / math.sqrt(5), abs=1e-6)),
            ("n", 0.0),
        ]
    }


@pytest.mark.parametrize("index", ["axes", "half", "graph"])
@pytest.mark.parametrize("k", [1, 2, 10])
def test_a_run_and_a_search_agree_in_ids_and_scores(compass, index, k):
    queries = {"a": "north", "b": "east east up", "c": "fog", "d": "up north"}
    retriever = compass.retriever(index)
    run = retriever.run(queries, k)
    hits = retriever.search_many(list(queries.values()), k)
    assert list(run.ranking) == list(queries)
    assert [[(h.doc_id, h.score) for h in found] for found in hits] == list(run.ranking.values())
    assert [[h.rank for h in found] for found in hits] == [
        list(range(1, len(found) + 1)) for found in hits
    ]


def test_an_unknown_text_finds_nothing_and_leaves_its_neighbours_in_a_batch_alone(compass):
    texts = ["fog", "up", "mist and fog", "north"]
    for index in ("axes", "graph"):
        hits = compass.retriever(index).search_many(texts, 1)
        assert list(map(ids, hits)) == [[], ["u"], [], ["n"]]
        assert [bool(found.notes) for found in hits] == [True, False, True, False]
        ranking = compass.retriever(index).run(dict(zip("abcd", texts, strict=True)), 1).ranking
        assert [(query_id, len(found)) for query_id, found in ranking.items()] == (
            [("a", 0), ("b", 1), ("c", 0), ("d", 1)]
        )


def test_a_long_unknown_text_is_cut_in_its_note(compass):
    (note,) = compass.search("fog " * 40, index="axes").notes
    assert note == f"No known word in {('fog ' * 15)[:57] + '...'!r}: axes finds nothing for it."


def test_missing_documents_are_counted_in_a_note(compass):
    compass.add([Document("new", "north"), Document("newer", "up")])
    for index in ("axes", "half"):
        assert compass.search("up", index=index).notes == (lacks(compass, index, 2),)


def test_no_queries_get_no_answers(compass):
    retriever = compass.retriever("axes")
    assert retriever.search_many([]) == []
    assert retriever.run({}, 5).ranking == {}


def test_a_structure_can_be_asked_for_what_its_vectors_would_find_exactly(compass):
    graph = compass.retriever("graph")
    queries = {"a": "north", "b": "fog"}
    found = graph.run(queries, 2).ranking
    assert found == {"a": [("n", 1.0), ("all", pytest.approx(1 / math.sqrt(3)))], "b": []}
    exact = dataclasses.replace(graph, finder=dataclasses.replace(graph.finder, exact=True))
    assert exact.run(queries, 2).ranking == found


def test_a_run_is_written_and_read_back_as_it_was(compass, tmp_path):
    run = compass.retriever("axes").run({"q1": "north", "q2": "east east up", "q3": "fog"}, 3)
    path = tmp_path / "axes.trec"
    run.write(path)
    assert path.read_text().splitlines()[0] == "q1 Q0 n 1 1.0 axes"
    read = Run.read(path)
    # A query without hits leaves no line; times are not in the file.
    answered = {query_id: hits for query_id, hits in run.ranking.items() if hits}
    assert read == Run("axes", 3, answered)
    assert Run.read(path, name="other").name == "other"


ranking = st.dictionaries(
    st.text("abc", min_size=1),
    st.dictionaries(
        st.text("xyz", min_size=1), st.floats(-1, 1, width=32), min_size=1, max_size=5
    ).map(lambda hits: sorted(hits.items(), key=lambda hit: -hit[1])),
    max_size=5,
)


@given(ranking=ranking)
def test_any_run_reads_back_as_the_same_numbers(tmp_path_factory, ranking):
    path = tmp_path_factory.mktemp("runs") / "any.trec"
    Run("any", 5, ranking).write(path)
    assert Run.read(path).ranking == ranking


def test_an_empty_run_reads_back_empty(tmp_path):
    Run("none", 10, {}).write(tmp_path / "none.trec")
    assert Run.read(tmp_path / "none.trec") == Run("none", 0, {})


def test_what_is_no_run_is_refused_with_its_lines(tmp_path):
    (tmp_path / "bad.trec").write_text("q Q0 d 1 0.5 tag\nq d 0.5\n")
    with pytest.raises(BadRecordsError, match=r"bad.trec:2: 3 columns; expected 'query_id Q0"):
        Run.read(tmp_path / "bad.trec")
    with pytest.raises(InputError, match=r"document id 'a b' holds white space"):
        Run("r", 1, {"q": [("a b", 1.0)]}).write(tmp_path / "r.trec")
    assert not (tmp_path / "r.trec").exists()


def test_checked_texts_are_the_texts():
    assert validate_texts(["a", " b "]) == ["a", " b "]
    refused(InputError, "Query 1 is NoneType; expected text", validate_texts, ["a", None])
