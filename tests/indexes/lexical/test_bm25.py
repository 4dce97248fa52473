"""BM25: scores by hand and by an oracle, what a query may hold, and a collection's life with it."""

import itertools
import os
import random
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes import progress
from indexes.catalog.passages import Passage
from indexes.errors import (
    CollectionError,
    DamageError,
    InputError,
    MismatchError,
    NextStep,
    UnknownNameError,
)
from indexes.lexical import bm25 as lexical
from indexes.lexical.options import LANGUAGES, LexicalOptions
from indexes.lexical.segments import Source, build
from indexes.pipeline.bm25_builder import Bm25Builder
from indexes.pipeline.session import WriteSession
from indexes.progress import ignore_progress
from indexes.storage.files import LOCAL_LOCKS
from retriever import Collection, Document, HashingEmbedder, Words
from retriever.evaluation.measures import evaluate, mean
from retriever.formats import read_qrels, read_queries
from tests.support.fresh import check_forked, printed_by
from tests.support.laws import examples
from tests.support.oracles.bm25 import Oracle
from tests.support.toy import exactly, ids, lacks, pairs, refused

NONE = np.empty(0, np.int64)
NO_STEMMER = LexicalOptions("none")
VOCABULARY = ("wind", "sand", "tide", "moon", "fern", "moss", "owl", "elk", "salt", "iron", "rope")


@pytest.fixture(autouse=True, scope="module")
def memory():
    """Put temporary folders in memory, where it can be written to."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as folder, pytest.MonkeyPatch.context() as patch:
        Path(folder).chmod(0o777)
        patch.setattr(tempfile, "tempdir", folder)
        yield


def documents(**texts):
    return [Document(doc_id, text) for doc_id, text in texts.items()]


def build_bm25(collection, documents, language="none"):
    """Add documents, and build the index `bm25` over all of them."""
    collection.add(documents)
    collection.build("bm25", lexical=True, language=language)


def made(texts):
    """An index over texts by key."""
    folder = Path(tempfile.mkdtemp()) / "c" / "lexical" / "bm25-1"
    passages = [Passage(key, text) for key, text in texts.items()]
    source = Source(lambda *_: passages, lambda *_: len(passages), lambda *_: sorted(texts), 10**9)
    assert build(folder, NO_STEMMER, source, lambda done: None) == len(texts)
    return lexical.load(folder, NO_STEMMER)


def terms_of(*queries):
    return [lexical.terms_of(query, NO_STEMMER) for query in queries]


def search(index, query, k=100, deleted=NONE, allowed=None):
    found = index.search(terms_of(query), k, deleted=deleted, allowed=allowed)
    hits = zip(found.keys[0].tolist(), found.scores[0].tolist(), strict=True)
    return [(key, score) for key, score in hits if key != -1]


def test_scores_are_bm25_as_worked_out_by_hand():
    index = made({3: "owl owl elk", 5: "owl moss moss moss", 8: "elk fern"})
    # N = 3, mean length 3; `owl` in 2: idf = ln(1 + 1.5 / 2.5) = 0.470004.
    # 3: 0.470004 * 2.2 * 2 / (2 + 1.2 * (0.25 + 0.75 * 3 / 3)) = 0.646255
    # 5: 0.470004 * 2.2 * 1 / (1 + 1.2 * (0.25 + 0.75 * 4 / 3)) = 0.413603
    assert search(index, "owl") == [(3, pytest.approx(0.6463)), (5, pytest.approx(0.4136))]
    # `fern` in 1: idf = ln(1 + 2.5 / 1.5) = 0.980829; twice in the query, it counts twice.
    # 8: 0.980829 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 2 / 3)) = 1.135697
    assert search(index, "fern") == [(8, pytest.approx(1.1357))]
    assert search(index, "fern fern") == [(8, pytest.approx(2.2714))]
    assert search(index, "salt") == []


def check_ranking(found, query, texts, oracle):
    """Check the keys that share a word with a query: scores, ties of equal texts, order."""
    scores = {key: oracle.score(query, key) for key in texts}
    expected = {key: score for key, score in scores.items() if score}
    assert len(found) == len(expected)
    assert dict(found) == pytest.approx(expected, abs=1e-3)
    assert found == sorted(found, key=lambda hit: (-hit[1], hit[0]))
    by_text = {}
    for key, score in found:
        assert by_text.setdefault(texts[key], score) == score


def check_chosen(index, query, full, chosen, sizes):
    """Check that deleted keys are left out, and that only allowed ones are found."""
    inside = set(chosen.tolist())
    kept = [hit for hit in full if hit[0] in inside]
    left = [hit for hit in full if hit[0] not in inside]
    for k in sizes:
        assert search(index, query, k, allowed=chosen) == kept[:k]
        assert search(index, query, k, deleted=chosen) == left[:k]


text = st.lists(st.sampled_from(VOCABULARY), max_size=40).map(" ".join)
passages = st.lists(text, min_size=1, max_size=30)
questions = st.lists(st.sampled_from((*VOCABULARY, "unknown")), min_size=1, max_size=8)


@settings(max_examples=examples(30), deadline=None)
@given(texts=passages, words=questions, data=st.data())
def test_an_index_answers_like_the_formula(texts, words, data):
    query = " ".join(words)
    keyed = {3 * n + 2: text for n, text in enumerate(texts)}
    some = data.draw(st.lists(st.sampled_from(sorted(keyed)), unique=True).map(sorted))
    index, oracle = made(keyed), Oracle(keyed)
    full = search(index, query)
    check_ranking(full, query, keyed, oracle)
    for k in {1, 2, len(full) // 2 + 1, len(full), len(full) + 1} - {0}:
        assert search(index, query, k) == full[:k]
    check_chosen(index, query, full, np.array(some, np.int64), (1, 3, 100))
    scores = index.scores(terms_of(query), np.array([[1, -1, *keyed]]))[0].tolist()
    found = dict(full)
    assert scores == [-np.inf, -np.inf, *(found.get(key, 0.0) for key in keyed)]


@pytest.fixture(scope="module")
def thousands():
    """An index of 3,000 texts, 700 of them different, and the texts by key."""
    drawn = random.Random(4)
    different = [" ".join(drawn.choices(VOCABULARY, k=drawn.randint(1, 90))) for _ in range(700)]
    keyed = {key: drawn.choice(different) for key in range(1, 3001)}
    return made(keyed), keyed


def test_equal_texts_tie_among_thousands_and_k_hits_are_the_first_of_more(thousands):
    index, keyed = thousands
    drawn, oracle = random.Random(5), Oracle(keyed)
    for _ in range(20):
        query = " ".join(drawn.choices(VOCABULARY, k=drawn.randint(1, 6)))
        full = search(index, query, 5000)
        check_ranking(full, query, keyed, oracle)
        for k in (1, 2, 10, 299, 1000):
            assert search(index, query, k) == full[:k]


@pytest.mark.parametrize("size", [1, 40, lexical.FEW_KEYS, lexical.FEW_KEYS + 1, 2500])
def test_few_and_many_allowed_and_hidden_keys_give_the_same_scores(thousands, size):
    index, keyed = thousands
    drawn = random.Random(size)
    chosen = np.array(sorted(drawn.sample(sorted(keyed), size)), np.int64)
    for query in ("wind", "owl elk salt", "moss moss iron tide fern", "unknown"):
        check_chosen(index, query, search(index, query, 5000), chosen, (1, 10, 5000))
    scores = index.scores(terms_of("owl elk salt", "unknown"), np.stack([chosen, chosen[::-1]]))
    found = dict(search(index, "owl elk salt", 5000))
    assert scores[0].tolist() == [found.get(key, 0.0) for key in chosen.tolist()]
    assert not scores[1].any()


def test_scores_do_not_depend_on_the_other_queries(thousands):
    index, _ = thousands
    terms = terms_of("wind", "", "owl elk", "wind wind")
    together = index.search(terms, 7, deleted=NONE)
    for row, one in enumerate(terms):
        alone = index.search([one], 7, deleted=NONE)
        assert alone.keys.tolist() == [together.keys[row].tolist()]
        assert alone.scores.tolist() == [together.scores[row].tolist()]
    assert together.keys[1].tolist() == [-1] * 7
    assert index.scores(terms, np.zeros((4, 0), np.int64)).shape == (4, 0)


def test_an_index_of_nothing_finds_nothing():
    index = made({})
    assert (index.rows, index.keys.tolist(), search(index, "wind")) == (0, [], [])
    assert index.scores([{"wind": 1}], np.array([[1, -1]])).tolist() == [[-np.inf, -np.inf]]


def test_a_length_of_41_words_is_kept_as_40():
    scores = dict(search(made({n: "owl " + "elk " * (n - 1) for n in (39, 40, 41)}), "owl"))
    assert scores[39] > scores[40] == scores[41]


@pytest.fixture(scope="module")
def texts():
    with Collection.create(Path(tempfile.mkdtemp()) / "c") as collection:
        collection.add([Document("foo", "the title of foo", title="Bars")])
        cafe = "ein Café in Zürich, 日本 語 8"
        cat, text = "The cat and the hat", "some text with an x in it"
        build_bm25(collection, documents(cat=cat, text=text, cafe=cafe, nothing="!?"))
        yield collection


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ('AND "x', {"cat", "text"}),
        ("text:hat", {"text", "cat"}),
        *((query, {"foo"}) for query in ("title:foo", "bars")),
        *((query, {"cafe"}) for query in ("CAFÉ", "日本", "8")),
        *((query, {"cat"}) for query in ("-cat", "+cat -hat", "NOT cat", "cat^3 hat~1")),
        *((query, {"cat"}) for query in ("cat\0hat", "😀cat😀", "cat\ud83d", "cat " * 10_000)),
        ("x" * 10_000 + " hat", {"cat"}),
        *((query, set()) for query in ("[a TO z]", "ca*", "cafe", "key")),
        *((query, None) for query in ("(", "*", "\\", "\0", "😀", "\ud83d", "x" * 10_000)),
    ],
)
def test_a_query_has_no_syntax(texts, query, found):
    hits = texts.search(query, index="bm25")
    assert set(ids(hits)) == (found or set())
    shown = query if len(query) <= 60 else f"{query[:57]}..."
    what = "word" if found is None else "known word"
    said = (f"No {what} in {shown!r}: bm25 finds nothing for it.",)
    assert hits.notes == (() if found else said)
    assert all(hit.score > 0 for hit in hits)


def test_k_beyond_the_corpus_gives_what_shares_a_word(texts):
    assert sorted(ids(texts.search("the x", index="bm25", k=10**9))) == ["cat", "foo", "text"]
    assert len(texts.search("the", index="bm25", k=1)) == 1


@pytest.mark.parametrize(
    ("language", "answers"),
    [
        ("german", {"haus": ["a", "b"], "Häuser": ["a", "b"]}),
        ("none", {"haus": ["b"], "HÄUSERN": ["a"], "sleeping": []}),
        ("english", {"sleeping": ["c"]}),
    ],
)
def test_words_are_stemmed_by_the_language(collection, language, answers):
    build_bm25(collection, documents(a="in den Häusern", b="im Haus", c="it sleeps"), language)
    for query, found in answers.items():
        assert sorted(ids(collection.search(query, index="bm25"))) == found
    (info,) = collection.info().indexes
    assert (info.kind, info.embedder, info.model) == ("lexical", *[f"BM25, {language}"] * 2)


def test_there_is_a_stemmer_for_each_language():
    for language in LANGUAGES:
        assert lexical.terms_of("8", LexicalOptions(language)) == {"8": 1}


def test_an_unknown_language_is_refused_with_the_known_ones(collection):
    build = collection.build
    collection.add([Document("a", "text")])
    known = (
        "No stemmer for 'klingon'. It can be: arabic, danish, dutch, english, finnish, "
        "french, german, greek, hungarian, italian, norwegian, portuguese, romanian, russian, "
        "spanish, swedish, tamil, turkish, none."
    )
    refused(InputError, exactly(known), build, "bm25", lexical=True, language="klingon")
    assert collection.index_names() == []
    build("bm25", lexical=True)
    assert collection.info().indexes[0].options == {
        "language": "english",
        "text": "normalized",
    }
    another = "'bm25' exists already, with another definition: language is english, not "
    refused(MismatchError, another + "german. Drop", build, "bm25", language="german")
    refused(MismatchError, another + "none", build, "bm25", language="none", lexical=True)
    refused(InputError, "BM25 has no vectors", build, "bm25", HashingEmbedder(), lexical=True)


def random_documents(count, first=0):
    drawn = random.Random(1)
    texts = (" ".join(drawn.choices(VOCABULARY, k=drawn.randint(0, 30))) for _ in range(count))
    return [
        Document(f"d{n:03}", text, metadata={"n": n, "half": n % 2})
        for n, text in enumerate(texts, start=first)
    ]


QUERIES = ["wind", "owl elk", "salt iron iron rope", "moss fern tide moon wind", "unknown"]


def everything(collection, **options):
    return [pairs(hits) for hits in collection.search_many(QUERIES, index="bm25", k=999, **options)]


def test_a_filter_answers_like_a_scan_of_all_documents(collection):
    documents = random_documents(1500)
    build_bm25(collection, documents)
    full = {query: collection.search(query, index="bm25", k=1500) for query in QUERIES}
    for where, fits in (
        ({"n": {"<": 30}}, lambda m: m["n"] < 30),
        ({"half": 1}, lambda m: m["half"] == 1),
        ({"n": {">=": 100}}, lambda m: m["n"] >= 100),
        ({"half": 7}, lambda m: False),
    ):
        for query, hits in full.items():
            wanted = pairs(hit for hit in hits if fits(hit.metadata))
            for k in (1, 10, 1500):
                found = collection.search(query, index="bm25", k=k, where=where)
                assert pairs(found) == wanted[:k]


def test_deleted_documents_are_gone_at_once_and_edited_ones_answer_by_their_old_text(collection):
    build_bm25(collection, documents(a="owl", b="owl elk", c="elk moss"))
    before = dict(pairs(collection.search("owl elk", index="bm25")))
    collection.delete(["a"])
    # Scores stay: they go by what was read.
    hits = collection.search("owl elk", index="bm25")
    assert (dict(pairs(hits)), hits.notes) == ({k: before[k] for k in "bc"}, ())
    collection.add([Document("b", "fern"), Document("new", "owl")])
    hits = collection.search("owl elk fern", index="bm25")
    assert dict(pairs(hits)) == {key: before[key] for key in "bc"}
    assert [(hit.doc_id, hit.text) for hit in hits if hit.stale] == [("b", "fern")]
    assert hits.notes == (lacks(collection, "bm25", 1, stale=1),)
    assert collection.verify().problems == ()
    # Metadata alone is no new text.
    collection.add([Document("c", "elk moss", metadata={"n": 1})])
    assert collection.index_info("bm25").missing == 2
    report = collection.build("bm25")
    assert (report.embedded, report.already) == (0, 3)
    hits = collection.search("owl elk fern", index="bm25")
    assert (sorted(ids(hits)), hits.notes) == (["b", "c", "new"], ())
    assert not any(hit.stale for hit in hits)
    folder = only(collection)
    assert collection.build("bm25").indexing_seconds == 0.0
    assert only(collection) == folder


def only(collection):
    """The one folder of BM25 that counts, once the rest is swept."""
    collection.delete([])
    (folder,) = (collection.path / "lexical").iterdir()
    return folder


def answers_of(*batches):
    """All hits of a new collection that is built after each batch."""
    with Collection.create(Path(tempfile.mkdtemp()) / "c") as collection:
        for batch in batches:
            build_bm25(collection, batch)
        return everything(collection)


def test_ten_increments_and_another_order_answer_like_one_build():
    documents = random_documents(100)
    once, backwards = answers_of(documents), answers_of(documents[::-1])
    assert answers_of(*(documents[start : start + 10] for start in range(0, 100, 10))) == once
    assert [sorted(hits) for hits in backwards] == [sorted(hits) for hits in once]
    assert [[s for _, s in hits] for hits in backwards] == [[s for _, s in hits] for hits in once]


def test_split_documents_are_ranked_by_their_best_passage(tmp_path):
    with Collection.create(tmp_path / "c", split=Words(2)) as collection:
        texts = documents(mixed="fern moss owl owl elk", plain="owl elk", none="salt salt salt")
        build_bm25(collection, texts)
        hits = collection.search("owl", index="bm25")
        stretches = [("mixed", "owl owl", (10, 17)), ("plain", "owl elk", (0, 7))]
        assert [(h.doc_id, h.text, h.passage) for h in hits] == stretches
        assert [hit.passage for hit in collection.search("elk", index="bm25")] == [(18, 21), (0, 7)]
        # N = 6 passages, `owl` in 2, mean length 10 / 6.
        idf = np.log(1 + 4.5 / 2.5)
        wanted = idf * 2.2 * 2 / (2 + 1.2 * (0.25 + 0.75 * 2 / (10 / 6)))
        assert hits[0].score == pytest.approx(wanted, abs=1e-4)
        assert collection.info().indexes[0].rows == 6
        collection.delete(["plain"])
        assert ids(collection.search("owl salt", index="bm25", k=2)) == ["mixed", "none"]


def test_scores_of_given_documents_are_those_of_a_search(tmp_path):
    with Collection.create(tmp_path / "c", split=Words(4)) as collection:
        build_bm25(collection, random_documents(40))
        terms = terms_of(*QUERIES)
        with collection._store.snapshot() as snapshot:
            found = snapshot.search("bm25", terms, 40)
            again = snapshot.scores("bm25", terms, found.keys)
        # A document's key need not be that of its best passage.
        assert again.keys.tolist() == found.keys.tolist()
        assert again.scores.tolist() == found.scores.tolist()


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=passages, size=st.integers(1, 4), words=questions, k=st.integers(1, 6))
def test_a_document_has_the_score_of_its_best_passage(texts, size, words, k):
    split, query = Words(size), " ".join(words)
    folder = Path(tempfile.mkdtemp())
    stretches = [(f"d{n}", *span) for n, text in enumerate(texts) for span in split.spans(text)]
    best = {}
    with Collection.create(folder / "alone") as alone:
        parts = [texts[int(doc_id[1:])][start:end] for doc_id, start, end in stretches]
        build_bm25(alone, [Document(f"{n}", part) for n, part in enumerate(parts)])
        for hit in alone.search(query, index="bm25", k=9999):
            doc_id, start, end = stretches[int(hit.doc_id)]
            best.setdefault(doc_id, (doc_id, hit.score, (start, end)))
    with Collection.create(folder / "split", split=split) as full:
        build_bm25(full, [Document(f"d{n}", text) for n, text in enumerate(texts)])
        hits = full.search(query, index="bm25", k=k)
        assert [(h.doc_id, h.score, h.passage) for h in hits] == list(best.values())[:k]


def test_info_counts_what_was_read_and_what_is_missing(collection, monkeypatch):
    # Each look finds a MiB more: the real memory may fall by what other tests left.
    monkeypatch.setattr(progress, "resident", itertools.count(7 << 20, 1 << 20).__next__)
    build_bm25(collection, random_documents(20))
    collection.add(random_documents(3, first=20))
    collection.delete(["d000"])
    (info,) = collection.info().indexes
    size = sum(path.stat().st_size for path in only(collection).iterdir())
    assert (info.name, info.kind, info.rows, info.missing) == ("bm25", "lexical", 19, 3)
    assert (info.structure_size, info.vectors_size, info.dim) == (size, 0, 0)
    assert info.indexing_seconds > 0
    assert info.building_memory is not None
    assert info.building_memory >= 1 << 20


def test_a_compacted_collection_answers_like_a_new_one(collection):
    documents = random_documents(60)
    build_bm25(collection, documents)
    collection.build("floor", HashingEmbedder(16))
    collection.delete(where={"half": 0})
    seen = everything(collection)
    with Collection.open(collection.path) as reader:
        assert everything(reader) == seen
        collection.compact()
        assert len(collection._store.corpus.tombstones()) == 0
        assert collection.index_info("bm25").rows == 30
        after = everything(collection)
        assert everything(reader) == after
    assert [dict(hits).keys() for hits in after] == [dict(hits).keys() for hits in seen]
    assert collection.verify().problems == ()
    folder = only(collection)
    collection.compact()
    assert only(collection) == folder
    assert answers_of([document for document in documents if document.metadata["half"]]) == after


def test_an_emptied_collection_can_be_built_again(collection):
    build_bm25(collection, documents(a="owl", b="elk"))
    collection.delete(["a", "b"])
    assert not collection.search("owl", index="bm25")
    collection.compact()
    assert (ids(collection.search("owl", index="bm25")), collection.verify().ok) == ([], True)
    collection.add([Document("c", "owl")])
    collection.build("bm25")
    assert ids(collection.search("owl elk", index="bm25")) == ["c"]


def test_drop_removes_the_folder(collection):
    build_bm25(collection, random_documents(20))
    size = collection.index_info("bm25").structure_size
    with Collection.open(collection.path) as reader:
        assert reader.search("owl", index="bm25")
        assert collection.drop("bm25") == size > 1000
        refused(UnknownNameError, "No index 'bm25'", reader.search, "owl", index="bm25")
    assert list((collection.path / "lexical").iterdir()) == []
    assert collection.verify() == replace(collection.verify(), problems=(), leftovers=())
    collection.build("bm25", lexical=True, language="none")
    assert collection.search("owl", index="bm25")


def test_a_retriever_of_a_replaced_index_is_refused(collection):
    collection.add([Document("a", "owl")])
    collection.build("x", lexical=True)
    words = collection.retriever("x")
    collection.drop("x")
    collection.build("x", HashingEmbedder())
    refused(MismatchError, "Index 'x' has been rebuilt", words.search, "owl")
    vectors = collection.retriever("x")
    collection.drop("x")
    collection.build("x", lexical=True, language="none")
    for old in (words, vectors):
        refused(MismatchError, "Index 'x'", old.search, "owl")


def test_the_next_writer_removes_what_a_crash_left(collection):
    build_bm25(collection, documents(a="owl"))
    folder = only(collection)
    # A writer that is killed has written for the next commit.
    following = collection._store.catalog.generation() + 1
    half, empty = (folder.with_name(f"{name}-{following}") for name in ("bm25", "other"))
    shutil.copytree(folder, half)
    empty.mkdir()
    checked = collection.verify()
    assert checked.ok
    assert set(checked.leftovers) == {*half.iterdir(), empty}
    assert only(collection) == folder
    assert collection.verify().leftovers == ()
    assert ids(collection.search("owl", index="bm25")) == ["a"]


def test_a_failed_build_leaves_the_old_index_and_no_file(collection):
    build_bm25(collection, documents(a="owl"))
    folder = only(collection)
    collection.add([Document("b", "owl")])
    interrupt = Mock(side_effect=KeyboardInterrupt)
    refused(KeyboardInterrupt, None, collection.build, "bm25", progress=interrupt)
    assert list(folder.parent.iterdir()) == [folder]
    assert ids(collection.search("owl", index="bm25")) == ["a"]
    progress = Mock()
    collection.build("bm25", progress=progress)
    progress.assert_called_with(2, 2)
    assert ids(collection.search("owl", index="bm25")) == ["a", "b"]


FULL = """
import resource, signal, sys
from retriever import Collection, RetrieverError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with Collection.open(sys.argv[1]) as collection:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
    try:
        collection.build("bm25", lexical=True)
    except RetrieverError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of files")
def test_a_full_disk_is_a_collection_error_and_leaves_no_file(collection):
    collection.add(random_documents(50))
    printed = printed_by(FULL, collection.path)
    assert printed.startswith(f"{CollectionError.__name__} {collection.path}/lexical/bm25-")
    assert "cannot be written" in printed
    assert list((collection.path / "lexical").iterdir()) == []


@pytest.fixture
def words(collection):
    build_bm25(collection, random_documents(30))
    collection.build("floor", HashingEmbedder(16))
    return collection


def change_a_byte(folder):
    path = next(folder.glob("*.idx"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def make_it_a_file(folder):
    shutil.rmtree(folder)
    folder.write_bytes(b"")


HARMS = {
    "the folder is lost": shutil.rmtree,
    "a file is lost": lambda folder: next(folder.glob("*.idx")).unlink(),
    "a byte is changed": change_a_byte,
    "a file is added": lambda folder: (folder / "stray").touch(),
    "a file is in its place": make_it_a_file,
}
REBUILT = "read all texts for 'bm25' again"


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_a_damaged_folder_is_found_and_built_again(words, harm):
    before, folder = everything(words), only(words)
    with Collection.open(words.path) as collection:
        harm(folder)
        with pytest.raises(DamageError, match=str(folder)) as caught:
            collection.search("owl", index="bm25")
        assert caught.value.next_step == NextStep("repair", words.path)
        assert collection.search("owl", index="floor", k=1)
        (problem,) = collection.verify().problems
        assert str(folder) in str(problem)
        repaired = collection.repair()
        assert (repaired.done, repaired.left) == ((REBUILT,), ())
        assert everything(collection) == before
        assert collection.verify().problems == ()
        assert only(collection) != folder
        assert collection.repair().done == ()


def test_a_build_replaces_a_damaged_folder(words):
    before = everything(words)
    change_a_byte(only(words))
    words.build("bm25")
    assert (everything(words), words.verify().problems) == (before, ())


@pytest.mark.parametrize("change", [{"rows": 29}, {"stop_key": 30}])
def test_an_index_that_differs_from_its_row_is_found_and_repaired(words, change):
    before = everything(words)
    store = words._store
    with store.catalog.writing():
        store.registry.set_index(replace(store.index("bm25"), **change))
    said = "Index 'bm25' does not hold the passages that it should."
    assert [str(problem) for problem in words.verify().problems] == [said]
    assert words.repair().done == (REBUILT,)
    assert (everything(words), words.verify().problems) == (before, ())


@pytest.mark.parametrize("keys", [range(1, 31), range(2, 32), range(1, 30), range(1, 33)])
def test_missing_and_surplus_keys_are_found_and_repaired(words, keys, monkeypatch):
    before = everything(words)
    true = words._store.corpus.passages(1, 99, 99)
    other = [Passage(key, true[n % 30].text) for n, key in enumerate(keys)]
    with monkeypatch.context() as wrong:
        wrong.setattr(WriteSession, "texts", lambda self, first, stop: iter(other))
        builder = Bm25Builder(words._store._writer())
        builder.build("bm25", NO_STEMMER, ignore_progress, rebuild=True)
    only(words)
    full = list(keys) == list(range(1, 31))
    assert words.verify().ok == full
    if 31 in keys:
        refused(DamageError, "passage 3[12] is lost", everything, words)
    assert words.repair().done == (() if full else (REBUILT,))
    assert (everything(words), words.verify().problems) == (before, ())


def test_a_damaged_text_stops_a_build(tmp_path):
    text = "one damaged owl among the elks"
    with Collection.create(tmp_path / "c") as collection:
        collection.add([Document("a", text), Document("b", "owl")])
    catalog = tmp_path / "c" / "catalog.db"
    catalog.write_bytes(catalog.read_bytes().replace(text.encode(), b"x" + text[1:].encode()))
    with Collection.open(tmp_path / "c") as collection:
        said = "text of document 'a' is not what was added"
        refused(DamageError, said, collection.build, "bm25", lexical=True)
        assert list((tmp_path / "c" / "lexical").iterdir()) == []
        assert collection.index_names() == []


def snapshot_of(folder):
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_size)
        for path in (folder, *folder.rglob("*"))
    }


def test_searching_writes_nothing_into_the_folder(words):
    path = words.path / "lexical"
    only(words)
    before = snapshot_of(path)
    with Collection.open(words.path) as reader:
        assert reader.search("owl", index="bm25")
        assert reader.search("owl", index="bm25", where={"half": 1})
        assert reader.verify().ok
    assert snapshot_of(path) == before
    assert {file.name for file in only(words).iterdir()}.isdisjoint(LOCAL_LOCKS)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root")
def test_a_read_only_folder_can_be_searched():
    folder = Path(tempfile.mkdtemp())
    with Collection.create(folder / "c") as collection:
        build_bm25(collection, documents(a="owl", b="elk"))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)

    def search_as_nobody():
        os.setuid(65534)
        with Collection.open(folder / "c") as collection:
            assert ids(collection.search("owl", index="bm25")) == ["a"]

    check_forked(search_as_nobody)


def test_opening_many_times_leaves_no_link(words):
    # tantivy's own thread puts a lock next to the links now and then, while they are removed.
    links, folder = Path(tempfile.gettempdir()), only(words)
    before = set(links.glob("retriever-*"))
    for _ in range(300):
        assert lexical.load(folder, NO_STEMMER).rows == 30
    assert set(links.glob("retriever-*")) <= before


def test_a_missing_temporary_folder_is_named(words, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    with Collection.open(words.path) as reader:
        with pytest.raises(CollectionError, match="Set TMPDIR to a folder that can be") as caught:
            reader.search("owl", index="bm25")
    assert not isinstance(caught.value, DamageError)


def test_threads_may_share_a_collection(words):
    before = everything(words)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: everything(words), range(40))) == [before] * 40


OTHER = """
import sys
from retriever import Collection, Document
with Collection.open(sys.argv[1]) as collection:
    print([hit.doc_id for hit in collection.search("heron", index="bm25")])
    collection.add([Document("heron", "heron")])
    collection.build("bm25")
    print([hit.doc_id for hit in collection.search("heron", index="bm25")])
"""


def test_what_another_process_builds_is_seen_by_the_next_query(words):
    assert not words.search("heron", index="bm25")
    assert printed_by(OTHER, words.path) == "[]\n['heron']\n"
    assert ids(words.search("heron", index="bm25")) == ["heron"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_searches_and_builds_next_to_its_parent(words):
    before = everything(words)

    def work():
        assert everything(words) == before
        build_bm25(words, documents(heron="heron"))
        assert ids(words.search("heron", index="bm25")) == ["heron"]

    check_forked(work)
    assert ids(words.search("heron", index="bm25")) == ["heron"]
    assert words.verify().problems == ()


def test_bm25_reaches_its_known_ndcg_on_scifact(data, collection):
    collection.add(data / "scifact" / "corpus.jsonl")
    collection.build("bm25", lexical=True)
    queries = read_queries(data / "scifact" / "queries.jsonl")
    qrels = read_qrels(data / "scifact" / "qrels" / "test.tsv")
    judged = {query_id: text for query_id, text in queries.items() if query_id in qrels}
    run = collection.retriever("bm25").run(judged, 10)
    ndcg = evaluate(run.ranking, qrels, ["nDCG@10"])["nDCG@10"]
    assert mean(ndcg) == pytest.approx(0.687, abs=0.005)
