"""Escalation: which queries the second index answers, and that no other is encoded for it."""

import random

import pytest

from indexes.errors import InputError, MismatchError, UnknownNameError
from retriever import Collection, Document, compare
from tests.support.commands import fail, misuse, succeed
from tests.support.toy import Axes, exactly, pairs, refused

WORDS = ("north", "east", "south", "west", "up", "down")
RARE = tuple(f"word{n}" for n in range(60))
MARGINS = (0.01, 0.15, 0.4, 1)


class Counting(Axes):
    """Axes of all words, heavier on later ones, that notes the queries it encodes."""

    def __init__(self):
        super().__init__("deep", words=WORDS)
        self.asked = []

    def encode_documents(self, texts):
        return super().encode_queries([f"{text} {text.split()[-1]}" for text in texts])

    def encode_queries(self, texts):
        self.asked += texts
        return super().encode_queries(texts)


@pytest.fixture
def deep():
    return Counting()


@pytest.fixture
def library(tmp_path, deep):
    """Random documents, a cheap fusion and an expensive one."""
    drawn = random.Random(4)
    documents = [
        Document(
            f"d{n:02}",
            " ".join([RARE[n], *drawn.choices(WORDS, k=drawn.randint(1, 7))]),
            metadata={"n": n},
        )
        for n in range(60)
    ]
    with Collection.create(tmp_path / "library") as collection:
        collection.add(documents)
        collection.build("bm25", lexical=True)
        collection.build("axes", Axes(words=(*WORDS[:3], *RARE[:30])))
        collection.build("deep", deep)
        collection.fuse("cheap", ["bm25", "axes"], method="convex")
        collection.fuse("costly", ["bm25", "deep"], method="convex")
        deep.asked.clear()
        yield collection


def queries():
    drawn = random.Random(5)
    texts = [" ".join(drawn.choices(WORDS, k=drawn.randint(1, 5))) for _ in range(20)]
    texts += [f"{drawn.choice(RARE)} {text}" for text in texts]
    return [*dict.fromkeys(texts), "nowhere"]


def lead(collection, query, **options):
    """How far the best document of the cheap fusion is ahead of its next one; 0 without any."""
    first, following = (
        [hit.score for hit in collection.search(query, index="cheap", k=2, **options)] + [0, 0]
    )[:2]
    return first - following


@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("where", [None, {"n": {">=": 55}}])
def test_each_query_is_answered_by_one_of_the_two(library, deep, margin, where):
    library.escalate("auto", "cheap", "costly", margin=margin)
    unsure = [query for query in queries() if lead(library, query, where=where) < margin]
    deep.asked.clear()
    answers = library.search_many(queries(), index="auto", where=where)
    assert deep.asked == unsure
    assert 0 < len(unsure) < len(queries()) or margin == 1
    for query, found in zip(queries(), answers, strict=True):
        by = "costly" if query in unsure else "cheap"
        assert pairs(found) == pairs(library.search(query, index=by, where=where))
        assert found == library.search(query, index="auto", where=where)


def test_a_longer_list_begins_with_a_shorter_one(library):
    library.escalate("auto", "cheap", "costly")
    for query in queries():
        longest = pairs(library.search(query, index="auto", k=60))
        for k in (1, 2, 7):
            assert pairs(library.search(query, index="auto", k=k)) == longest[:k]


def test_documents_found_elsewhere_get_the_scores_of_who_answers(library):
    library.escalate("auto", "cheap", "costly")
    library.cascade("ranked", "bm25", "auto", depth=60)
    library.cascade("by-cheap", "bm25", "cheap", depth=60)
    library.cascade("by-costly", "bm25", "costly", depth=60)
    for query in queries():
        by = "by-costly" if lead(library, query) < 0.15 else "by-cheap"
        found = pairs(library.search(query, index="ranked"))
        assert found == pairs(library.search(query, index=by))


def test_notes_are_of_those_that_answered(library):
    library.escalate("auto", "cheap", "deep", margin=1e-6)
    assert library.search("north", index="auto").notes == ()
    # The cheap one finds nothing, so the other is asked.
    assert library.search("nowhere", index="auto").notes == (
        "No known word in 'nowhere': bm25 finds nothing for it.",
        "No known word in 'nowhere': axes finds nothing for it.",
        "No known word in 'nowhere': deep finds nothing for it.",
    )
    assert library.search("south-west of west", index="auto").notes == (
        "No known word in 'south-west of west': axes finds nothing for it.",
    )


def test_a_comparison_says_how_many_were_escalated_and_counts_the_mean_time(library):
    library.escalate("auto", "cheap", "costly", margin=0.2)
    asked = {str(number): query for number, query in enumerate(queries())}
    made = compare(library, ["cheap", "costly", "auto"], asked, {"0": {"d01": 1}, "1": {"d02": 1}})
    two = [lead(library, asked[number]) < 0.2 for number in ("0", "1")]
    assert f"'auto' escalated {sum(two)} of 2 queries." in made.notes
    assert not any("'costly' escalated" in note for note in made.notes)
    row = made.rows["auto"]
    assert (row.kind, row.family) == ("escalated", "combined")
    assert row.query_ms == sum(row.latency.totals) / len(row.latency.totals)
    assert made.rows["costly"].query_ms == made.rows["costly"].latency.total.p50
    assert "--escalate cheap --to costly --margin 0.2" in made.environment["index auto"]


def test_info_says_how_it_works_and_the_same_again_changes_nothing(library):
    library.escalate("auto", "cheap", "costly")
    before = library.index_info("auto")
    assert before.embedder == "cheap, or costly where the best of that is less than 0.15 ahead"
    library.escalate("auto", "cheap", "costly", margin=0.15)
    assert library.index_info("auto") == before
    other = "'auto' exists already, with another definition: margin is 0.15, not 0.3. Drop"
    refused(MismatchError, other, library.escalate, "auto", "cheap", "costly", margin=0.3)


def test_what_escalates_needs_scores_from_0_to_1(library):
    library.fuse("ranks", ["bm25", "axes"])
    says = "An index that escalates needs scores from 0 to 1: expected a fusion by --method"
    for first in ("bm25", "axes", "ranks"):
        refused(InputError, says, library.escalate, "auto", first, "deep")
    for margin in (0, -1, 1.5, True, "high", float("nan")):
        says = exactly(f"margin is {margin!r}; expected a number above 0, up to 1.")
        refused(InputError, says, library.escalate, "auto", "cheap", "deep", margin=margin)
    refused(UnknownNameError, "No index 'none'", library.escalate, "auto", "cheap", "none")
    refused(UnknownNameError, "No index 'none'", library.escalate, "auto", "none", "deep")
    assert "auto" not in library.index_names()


def test_the_command_is_the_call(library):
    place = str(library.path)
    said = succeed("build", place, "auto", "--escalate", "cheap", "--to", "costly", "--margin", "1")
    assert said == (
        "auto: cheap, or costly where the best of that is less than 1 ahead; nothing to build\n"
    )
    assert library.index_info("auto").options["margin"] == 1
    build = ("build", place, "x", "--escalate", "cheap")
    assert "An escalation needs both: --escalate FIRST --to SECOND." in misuse(*build)
    both = (*build, "--to", "costly")
    alone = "Give --escalate without options of --fuse and --cascade."
    assert alone in misuse(*both, "--fuse", "bm25")
    assert alone in misuse(*both, "--depth", "9")
    assert "combine existing indexes: omit other options." in misuse(*both, "--ann", "Flat")
    assert "margin is 2.0; expected" in fail(*both, "--margin", "2")


def test_documents_to_be_like_are_searched_by_stored_vectors(library, deep):
    library.escalate("auto", "cheap", "costly", margin=1)
    found = library.search(like=["d01"], index="auto")
    assert pairs(found) == pairs(library.search(like=["d01"], index="costly"))
    assert "d01" not in [hit.doc_id for hit in found]
    assert deep.asked == []


def test_in_a_fusion_the_scores_are_of_the_part_that_found_the_candidates(library):
    where = {"n": {">=": 40}}
    library.escalate("auto", "cheap", "costly", margin=0.1)
    for part in ("cheap", "costly"):
        library.fuse(f"with-{part}", [part, "axes"], method="convex")
    library.fuse("with-auto", ["auto", "axes"], method="convex")
    answered = set()
    for query in queries():
        by = "costly" if lead(library, query, where=where) < 0.1 else "cheap"
        answered.add(by)
        expected = library.search(query, index=f"with-{by}", where=where)
        assert pairs(library.search(query, index="with-auto", where=where)) == pairs(expected)
    assert answered == {"cheap", "costly"}


def test_a_caller_who_must_not_wait_is_not_answered_by_an_escalation(library):
    library.escalate("auto", "cheap", "costly")
    library.fuse("of-auto", ["auto", "bm25"])
    for index in ("cheap", "auto", "of-auto"):
        library.search("north", index=index)
        found = library.search_if_unchanged("north", index=index)
        assert (found is None) == (index != "cheap")
    refused(InputError, "The name of an index", library.search_if_unchanged, "x", index=["auto"])
