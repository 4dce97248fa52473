"""Tests of why systems differ: unknown words, shared words, hits side by side."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from retriever import Collection, Document, Run, StaticEmbedder, compare
from retriever.evaluation.results import Excerpt
from retriever.evaluation.shared_words import SharedWords, excerpt, matches_in
from retriever.report.terminal.contrasts import contrast_lines
from tests.support.commands import succeed
from tests.support.samples import only, three, unjudged
from tests.support.toy import COMPASS, Axes


def test_titles_and_texts_of_an_excerpt_are_cut_at_a_space():
    assert excerpt("Title", "short text") == Excerpt("Title", "short text")
    assert excerpt("", "x" * 400) == Excerpt("", "x" * 400)
    assert excerpt("", "word " * 100).text == "word " * 79 + "word …"
    assert excerpt("", "x" * 500).text == "x" * 400 + " …"
    shown = excerpt("word " * 1000, "text " * 1000)
    assert shown == Excerpt("word " * 79 + "word …", "text " * 79 + "text …")


def shared(query, *texts, language="english"):
    words = SharedWords({str(n): Excerpt("", text) for n, text in enumerate(texts)}, language)
    return words.of(query, [str(n) for n in range(len(texts))])


def test_words_are_shared_in_any_inflection_and_only_those_of_the_given_documents():
    text = "Runners ran; a RUNNING man runs, un-running it."
    assert shared("How to run?", text) == {"running", "runs"}
    assert shared("running", text, language="none") == {"running"}
    assert shared("", text) == frozenset()
    assert shared("kitten", text) == frozenset()
    words = SharedWords({"a": Excerpt("Cats", "purr"), "b": Excerpt("", "cat")}, "english")
    assert words.of("a cat", ["a"]) == {"cats"}
    assert words.of("a cat", ["a", "b", "gone"]) == {"cats", "cat"}


def test_words_are_shared_as_written_in_any_form_and_script():
    assert shared("finance", "the fi\u00adnance ﬁnance minister") == {"fi\u00adnance", "ﬁnance"}
    assert shared("银行", "中国银行很大") == {"银行"}
    assert shared("银", "中国银行很大") == {"银"}
    assert shared("서울", "서울은 크다") == {"서울"}
    found = [
        list(matches_in(text, {"银行", "cats"})) for text in ("Cats中国银行", "concats 银行 cats")
    ]
    assert found == [[(6, 8)], [(8, 10), (11, 15)]]


def test_entries_of_a_vocabulary_are_shared_and_marked(collection, tmp_path):
    vectors = tmp_path / "toy.txt"
    vectors.write_text("5 2\nc 1 0\nc++ 0 1\nu.s. 1 1\ncode 1 1\nfig 2 1\n")
    collection.add([Document("d", "code in C++, c or c++x"), Document("e", "U.S. figs, u s")])
    collection.build("toy", StaticEmbedder(vectors))
    queries = compare(collection, ["toy"], {"q": "c++", "r": "the u.s.", "s": "rust"}).queries
    assert [query.matched for query in queries.values()] == [
        {"c++", "c"},
        {"u.s.", "u", "s"},
        set(),
    ]
    spans = list(matches_in("code in C++, c or c++x", queries["q"].matched))
    assert spans == [(8, 11), (13, 14), (18, 19)]
    assert list(matches_in("of the U.S.", queries["r"].matched)) == [(7, 11)]


def test_a_word_in_a_third_of_the_excerpts_is_not_shared():
    # Of 20 documents: `the` in all, `wing` in 7 (35 %), `flow` in 6 (30 %).
    texts = [f"the{' wing' if n < 7 else ''}{' flow' if n < 6 else ''} d{n}" for n in range(20)]
    assert shared("the wing flow", *texts) == {"flow"}
    # Among fewer than 20 documents, no word counts as common.
    assert shared("the wing flow", *texts[:19]) == {"the", "wing", "flow"}


def test_words_that_a_static_embedder_does_not_know_are_listed(collection, tmp_path):
    vectors = tmp_path / "toy.txt"
    vectors.write_text("2 2\nnorth 1 0\nup 0 1\n")
    collection.add(COMPASS)
    collection.build("toy", StaticEmbedder(vectors))
    collection.build("axes", Axes())
    queries = {"q": "North of the fog", "r": "up"}
    made = compare(collection, ["toy", "axes"], queries, {"q": {"n": 1}})
    assert made.queries["q"].unknown == {"toy": ["of", "the", "fog"]}
    everything = compare(collection, ["toy"], queries)
    assert everything.queries["r"].unknown == {}
    assert everything.rows["toy"].query_coverage == pytest.approx(2 / 5)


def test_matched_words_have_the_stems_of_a_bm25_index_or_part(collection):
    collection.add([Document("d", "laufende Katzen running")])
    collection.build("axes", Axes(words=("laufende",)))
    collection.build("bm25", lexical=True, language="german")
    collection.fuse("both", ["axes", "bm25"])

    def matched(index, query):
        return compare(collection, [index], {"q": query}).queries["q"].matched

    assert matched("both", "eine Katze laufend run") == {"katzen", "laufende"}
    assert matched("axes", "eine Katze laufend run") == frozenset()
    assert matched("axes", "laufende run") == {"running", "laufende"}


def plain(lines):
    return [line.plain for line in lines]


def test_contrasts_show_hits_and_reasons_of_both_systems():
    assert plain(contrast_lines(three(), 3, ("glove", "minilm"))) == [
        "",
        "glove beats minilm on 1 query",
        "",
        "query q1: Why does my cat purr?",
        "  nDCG@10: glove 0.500, minilm 0.250",
        "  cat is relevant (2), rank: glove 2, minilm 3",
        "  glove",
        "    1   1.000  dog  A dog barks.",
        "  * 2   0.500  cat  The cat A kitten purrs; a CAT is no bobcat, nor caterpillar.",
        "  minilm",
        "    1   1.000  dog  A dog barks.",
        "    2   0.500  car  Cars The engine idles.",
        "  * 3   0.333  cat  The cat A kitten purrs; a CAT is no bobcat, nor caterpillar.",
        "",
        "minilm beats glove on 1 query",
        "",
        "query q2: When are taxes due?",
        "  nDCG@10: minilm 1.000, glove 0.000",
        "  glove does not know: taxes",
        "  tax is relevant (1), rank: minilm 1, glove -",
        "  minilm",
        "  * 1   1.000  tax  The filing deadline is due in April.",
        "    2   0.500  dog  A dog barks.",
        "  glove",
        "    no hits",
    ]


def test_shared_words_are_underlined_as_words():
    lines = contrast_lines(three(), 1, ("glove", "minilm"))
    (line,) = [line for line in lines if line.plain.startswith("  * 2")]
    marked = [line.plain[span.start : span.end] for span in line.spans if span.style == "underline"]
    assert marked == ["cat", "purrs", "CAT"]


def test_the_largest_differences_come_first_up_to_the_limit():
    lines = plain(contrast_lines(three(), 1, ("bm25", "minilm")))
    assert [line for line in lines if line.startswith(("bm25 beats", "minilm beats", "query"))] == [
        "bm25 beats minilm on 1 query",
        "query q1: Why does my cat purr?",
        "minilm beats bm25 on 1 query",
        "query q2: When are taxes due?",
    ]
    # By default, the best static and the best contextual system.
    assert "glove beats minilm on 1 query" in plain(contrast_lines(three(), 1))


def test_queries_without_a_relevant_hit_are_listed_at_the_end():
    made = three()
    lost = {
        f"x{n}": replace(made.queries["q1"], query_id=f"x{n}", judgments={"gone": 1})
        for n in range(12)
    }
    values = {
        name: {"nDCG@10": of["nDCG@10"] | dict.fromkeys(lost, 0.0)}
        for name, of in made.per_query.items()
    }
    made = replace(made, queries=made.queries | lost, per_query=values)
    assert plain(contrast_lines(made, 1))[-1] == (
        "No system found anything relevant to 12 queries; check the label: "
        "x0, x1, x2, x3, x4, x5 and 6 more"
    )


def test_hits_that_the_collection_lacks_are_marked(compass):
    run = Run.of("other", {"q": [("elsewhere", 1.0)]})
    made = compare(compass, ["axes"], {"q": "north"}, {"q": {"n": 1}}, runs={"other": run})
    assert "    1   1.000  elsewhere  (not in the collection)" in plain(contrast_lines(made, 1))


def test_no_line_is_wider_than_a_hundred_columns():
    made = three()
    long = {doc_id: Excerpt("好" * 90, "text " * 60) for doc_id in made.documents}
    ranking = {"q1": [("字" * 60, 1.0)]}
    ids = {name: replace(run, ranking=ranking) for name, run in made.runs.items()}
    queries = {
        query_id: replace(query, text="why " * 60, unknown={"glove": ["word"] * 60})
        for query_id, query in made.queries.items()
    }
    for one in (replace(made, documents=long, queries=queries), replace(made, runs=ids)):
        lines = plain(contrast_lines(one, 5))
        assert max(map(cell_len, lines)) <= 100
        assert not any("\n" in line for line in lines)


def test_contrasts_need_judgments_and_two_systems():
    message = ["", "No queries to contrast: this needs judgments and at least two systems."]
    assert plain(contrast_lines(unjudged(), 3)) == message
    assert plain(contrast_lines(only(three(), "glove"), 3)) == message


def test_the_command_line_shows_contrasts_below_the_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Collection.create("library") as collection:
        collection.add([Document("cat", "A kitten purrs."), Document("car", "An engine idles.")])
        collection.build("bm25", lexical=True)
        collection.build("plain", lexical=True, language="none")
    (tmp_path / "q.tsv").write_text("query_id\ttext\nq1\tkittens\n")
    (tmp_path / "j.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tcat\t1\n")
    command = ("compare", "library", "--queries", "q.tsv", "--why", "2")
    printed = succeed(*command, "--qrels", "j.tsv")
    assert printed.split("bm25 beats plain on 1 query\n")[1].splitlines() == [
        "",
        "query q1: kittens",
        "  nDCG@10: bm25 1.000, plain 0.000",
        "  cat is relevant (1), rank: bm25 1, plain -",
        "  bm25",
        "  * 1   0.693  cat  A kitten purrs.",
        "  plain",
        "    no hits",
        "",
        "plain beats bm25 on 0 queries",
    ]
    alone = succeed(*command, "--qrels", "j.tsv", "-i", "bm25")
    assert alone.endswith("this needs judgments and at least two systems.\n")
