import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexes.errors import BadRecordsError, InputError
from retriever import Collection, Document, Hit, Hits, Run
from retriever.search.queries import validate_queries
from retriever.search.results import Timing
from tests.support.sources.records import write
from tests.support.toy import Axes, exactly, ids, lacks, refused


@pytest.fixture
def compass(compass):
    compass.build("graph", vectors="axes", ann="HNSW8")
    return compass


def test_hits_are_an_immutable_sequence_of_hits_with_notes():
    first, second = Hit(1, "a", 0.5, "text"), Hit(2, "b", 0.25, "text")
    hits = Hits((first, second), ("a note",))
    assert (len(hits), list(hits), hits.notes) == (2, [first, second], ("a note",))
    assert (hits[0], hits[-1], hits[:1]) == (first, second, (first,))
    assert second in hits
    assert hits.index(second) == 1
    assert hits == Hits((first, second), ("a note",))
    assert not Hits()
    assert list(Hits()) == []
    refused(IndexError, "out of range", Hits().__getitem__, 0)
    refused(AttributeError, "cannot assign", setattr, first, "rank", 2)
    refused(AttributeError, "cannot assign", setattr, Hits(), "notes", ("x",))


def test_a_hit_of_a_search_equals_a_constructed_one(compass):
    (found,) = compass.search("up", index="axes", k=1)
    document = compass.document("u")
    made = Hit(1, "u", 1.0, document.text, document.title, document.metadata, found.passage)
    assert (found, repr(found), vars(found)) == (made, repr(made), vars(made))
    assert dataclasses.replace(found, rank=2) == dataclasses.replace(made, rank=2)
    refused(AttributeError, "cannot assign", setattr, found, "rank", 2)


def test_an_answer_comes_with_the_times_of_its_stages_and_a_run_with_cosines(compass):
    retriever = compass.retriever("axes")
    hits, timing = retriever.answer(["north", "up"], 1)
    assert list(map(ids, hits)) == [["n"], ["u"]]
    assert min(timing.encoding, timing.searching, timing.fetching) > 0
    assert Timing(1, 2, 4).total == 7
    assert (retriever.search_many([]), retriever.run({}, 5).ranking) == ([], {})
    # cosines of (0, 2, 1) / sqrt(5): east 2/sqrt(5), all 3/sqrt(15), up 1/sqrt(5), north 0.
    run = retriever.run({"q": "east east up"}, 10)
    assert (run.name, run.k, list(run.ranking)) == ("axes", 10, ["q"])
    assert [doc_id for doc_id, _ in run.ranking["q"]] == ["e", "all", "u", "n"]
    cosines = [2 / math.sqrt(5), 3 / math.sqrt(15), 1 / math.sqrt(5), 0]
    assert [score for _, score in run.ranking["q"]] == pytest.approx(cosines, abs=1e-6)


@pytest.mark.parametrize("index", ["axes", "half", "graph"])
@pytest.mark.parametrize("k", [1, 2, 10])
def test_a_run_and_a_search_agree_in_ids_and_scores(compass, index, k):
    queries = {"a": "north", "b": "east east up", "c": "fog", "d": "up north"}
    retriever = compass.retriever(index)
    run = retriever.run(queries, k)
    hits = retriever.search_many(list(queries.values()), k)
    assert list(run.ranking) == list(queries)
    assert [[(h.doc_id, h.score) for h in found] for found in hits] == list(run.ranking.values())
    for found in hits:
        assert [hit.rank for hit in found] == list(range(1, len(found) + 1))


def test_an_unknown_text_finds_nothing_and_changes_no_other_answer_of_its_batch(compass):
    texts = ["fog", "up", "mist and fog", "north"]
    for index in ("axes", "graph"):
        hits = compass.retriever(index).search_many(texts, 1)
        assert list(map(ids, hits)) == [[], ["u"], [], ["n"]]
        assert [bool(found.notes) for found in hits] == [True, False, True, False]
        ranking = compass.retriever(index).run(dict(zip("abcd", texts, strict=True)), 1).ranking
        assert [(query, len(found)) for query, found in ranking.items()] == (
            [("a", 0), ("b", 1), ("c", 0), ("d", 1)]
        )


def test_notes_name_unknown_texts_cut_short_and_count_missing_documents(compass):
    (note,) = compass.search("fog " * 40, index="axes").notes
    assert note == f"No known word in {('fog ' * 15)[:57] + '...'!r}: axes finds nothing for it."
    compass.add([Document("new", "north"), Document("newer", "up")])
    for index in ("axes", "half"):
        assert compass.search("up", index=index).notes == (lacks(compass, index, 2),)


def test_an_ann_index_can_search_its_vectors_exactly(compass):
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
    # A query without hits leaves no line; times are not in the file.
    answered = {query_id: hits for query_id, hits in run.ranking.items() if hits}
    assert Run.read(path) == Run("axes", 3, answered)
    assert Run.read(path, name="other").name == "other"
    Run("none", 10, {}).write(tmp_path / "none.trec")
    assert Run.read(tmp_path / "none.trec") == Run("none", 0, {})


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


def test_an_invalid_run_and_text_are_refused(tmp_path):
    path = write(tmp_path / "bad.trec", "q Q0 d 1 0.5 tag\nq d 0.5\n")
    refused(BadRecordsError, "bad.trec:2: 3 columns; expected 'query_id Q0", Run.read, path)
    spaced = Run("r", 1, {"q": [("a b", 1.0)]})
    refused(InputError, "document id 'a b' holds white space", spaced.write, tmp_path / "r.trec")
    assert not (tmp_path / "r.trec").exists()
    assert validate_queries(["a", " b "]) == ["a", " b "]
    refused(InputError, "Query 1 is NoneType; expected text", validate_queries, ["a", None])


class Fragile(Axes):
    """Fails for one word, as a model that has no vector for a token, or overflows."""

    def encode_queries(self, texts):
        vectors = super().encode_queries(texts)
        for text, vector in zip(texts, vectors, strict=True):
            if "break" in text:
                raise IndexError("index out of range in self\nand more")
            if "overflow" in text:
                vector[0] = float("nan")
        return vectors


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("break east", "IndexError: index out of range in self"),
        ("overflow east", "its vector has a value that is not finite"),
    ],
)
def test_a_query_that_cannot_be_encoded_is_named(tmp_path, text, reason):
    collection = Collection.create(tmp_path / "c")
    collection.add([Document("n", "north"), Document("e", "east")])
    collection.build("axes", Fragile())
    retriever = collection.retriever("axes")
    end = f"'{text}': {reason}. Change the query or leave it out."
    with pytest.raises(InputError, match=exactly(f"axes cannot encode the query {end}")):
        retriever.search_many(["north", text])
    with pytest.raises(InputError, match=exactly(f"axes cannot encode the query q2 {end}")):
        retriever.run({"q1": "north", "q2": text}, k=2)
    assert ids(retriever.search("north", k=1)) == ["n"]
