"""Long documents split into passages: ranked by their best one, returned once."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexes.errors import InputError, MismatchError
from retriever import Collection, Document, HashingEmbedder, Sentences, Words, compare
from tests.support.laws import examples
from tests.support.toy import Axes, exactly, ids, lacks, pairs, refused, rounded

# In passages of two words:           up up | north north | east east
MIXED = Document("mixed", "up up north north east east")
NE = Document("ne", "north east")
STRUCTURES = ["HNSW16", "IVF2,Flat", "SQ8"]


def split_axes(folder, split, *documents):
    """Create a collection that splits documents, and an index `axes` over them."""
    collection = Collection.create(folder, split=split)
    collection.add(documents)
    collection.build("axes", Axes())
    return collection


@pytest.fixture
def compass(tmp_path):
    fog = Document("fog", "fog fog fog")
    with split_axes(tmp_path / "compass", Words(2), NE, MIXED, fog) as collection:
        yield collection


def test_a_document_is_ranked_once_by_its_best_passage_which_is_shown(compass):
    assert rounded(compass.search("north", k=9)) == [("mixed", 1.0), ("ne", 0.707107)]
    assert rounded(compass.search("up", k=9)) == [("mixed", 1.0), ("ne", 0.0)]
    assert rounded(compass.search("north east", k=9)) == [("ne", 1.0), ("mixed", 0.707107)]
    best = compass.search("east", k=1)[0]
    assert (best.doc_id, best.text, best.passage) == ("mixed", "east east", (18, 27))
    best = compass.search("north", k=1)[0]
    assert (best.text, best.passage) == ("north north", (6, 17))
    assert compass.document("mixed").text == MIXED.text
    # A k far beyond the corpus takes no memory.
    assert pairs(compass.search("north", k=10**9)) == pairs(compass.search("north", k=2))


def test_of_equally_good_passages_the_first_is_shown_and_positions_count_characters(tmp_path):
    document = Document("a", "up north north up north")
    with split_axes(tmp_path / "equal", Words(1), document) as collection:
        assert [hit.passage for hit in collection.search("north", k=5)] == [(3, 8)]
    text = "größe 🐈🐈 ñandú  north\u3000east"
    with split_axes(tmp_path / "c", Words(2), Document("a", text)) as collection:
        (hit,) = collection.search("north", k=1)
    assert hit.passage == (9, 21)
    assert hit.text == text[9:21] == "ñandú  north"


def test_complete_sentences_are_passages(tmp_path):
    text = "The cat purrs loudly. Taxes are due in April. The engine hums."
    with Collection.create(tmp_path / "c", split=Sentences(5)) as collection:
        collection.add([Document("a", text), Document("b", "The engine hums in April. A lake.")])
        collection.build("floor", HashingEmbedder())
        hit = collection.search("taxes are due in April", k=2)[0]
        assert (hit.doc_id, hit.text, hit.passage) == ("a", "Taxes are due in April.", (22, 45))
        hits = collection.search("The engine hums.", k=2)
        assert ids(hits) == ["a", "b"]
        assert hits[0].score == pytest.approx(1, abs=1e-6)


def test_overlapping_passages_find_what_a_border_would_cut(tmp_path):
    document = Document("a", "fog north east fog")
    with split_axes(tmp_path / "apart", Words(2), document) as apart:
        assert rounded(apart.search("north east")) == [("a", 0.707107)]
    with split_axes(tmp_path / "over", Words(2, overlap=1), document) as over:
        assert rounded(over.search("north east")) == [("a", 1.0)]
        assert over.search("north east")[0].text == "north east"


WORDS = ("north", "east", "up", "fog")
texts = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join), min_size=1, max_size=12
)
splits = st.tuples(st.integers(1, 4), st.integers(0, 3)).map(
    lambda pair: Words(pair[0], overlap=min(pair[1], pair[0] - 1))
)


@settings(max_examples=examples(25), deadline=None)
@given(texts=texts, split=splits)
def test_hits_are_the_best_passages_as_if_passages_were_documents(tmp_path_factory, texts, split):
    folder = tmp_path_factory.mktemp("law")
    documents = [Document(f"d{n}", text) for n, text in enumerate(texts)]
    passages = [
        Document(f"d{n}:{start}:{stop}", text[start:stop])
        for n, text in enumerate(texts)
        for start, stop in split.spans(text)
    ]
    with (
        split_axes(folder / "split", split, *documents) as whole,
        split_axes(folder / "alone", None, *passages) as alone,
    ):
        for query in ("north", "north east", "up up east", "fog"):
            expected = {}
            for hit in alone.search(query, k=1000):
                owner, start, stop = hit.doc_id.split(":")
                expected.setdefault(owner, (owner, hit.score, (int(start), int(stop)), hit.text))
            for k in (1, 3, 100):
                found = [(h.doc_id, h.score, h.passage, h.text) for h in whole.search(query, k=k)]
                assert found == list(expected.values())[:k]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A document with 500 passages that are all nearer to "north" than the 30 others."""
    folder = tmp_path_factory.mktemp("crowded") / "c"
    with Collection.create(folder, split=Words(1)) as collection:
        collection.add([Document("long", " ".join(["north"] * 500))])
        collection.add(
            Document(f"d{n:02}", "north" + "est" * n, title=f"w{n} east") for n in range(30)
        )
        collection.build("flat", HashingEmbedder(dim=64))
        for structure in STRUCTURES:
            collection.build(structure.replace(",", ""), vectors="flat", ann=structure)
        yield collection


@pytest.mark.parametrize("index", ["flat", *(name.replace(",", "") for name in STRUCTURES)])
def test_a_document_takes_one_rank_however_many_passages_match(crowded, index):
    for k, expected in ((1, 1), (2, 2), (10, 10), (31, 31), (1000, 31)):
        hits = crowded.search("north", index=index, k=k)
        assert len(set(ids(hits))) == len(hits) == expected
        assert [hit.rank for hit in hits] == list(range(1, expected + 1))
        assert hits[0].doc_id == "long"
        assert [hit.score for hit in hits] == sorted((h.score for h in hits), reverse=True)
    assert dict(pairs(hits)) == dict(pairs(crowded.search("north", index="flat", k=31)))


def test_filters_find_split_documents_once_and_many_queries_answer_like_one(crowded):
    crowded.add([Document("d03", "north" + "est" * 3, title="w3 east", metadata={"odd": True})])
    assert ids(crowded.search("north", index="flat", k=5, where={"odd": True})) == ["d03"]
    hits = crowded.search("north", index="HNSW16", k=5, where={"odd": {"exists": False}})
    assert len({*ids(hits)} - {"d03"}) == len(hits) == 5
    queries = ["north", "w3", "northest w1", "east", "nothing of this", "w29 east"]
    for index in ("flat", "HNSW16", "IVF2Flat"):
        for k in (1, 7, 100):
            together = crowded.search_many(queries, index=index, k=k)
            assert together == [crowded.search(query, index=index, k=k) for query in queries]


def test_the_title_is_put_before_every_passage(tmp_path):
    embedder = Axes()
    with Collection.create(tmp_path / "c", split=Words(2)) as collection:
        collection.add([Document("a", "one two three", title="A Title"), Document("b", "four"), NE])
        report = collection.build("axes", embedder)
    assert embedder.seen == ["A Title one two", "A Title three", "four", "north east"]
    assert (report.embedded, report.already) == (4, 0)


@pytest.mark.parametrize("split", [Words(50, overlap=10), Sentences(50)])
def test_short_documents_are_as_in_a_collection_that_splits_none(tmp_path, split):
    documents = [
        Document(f"d{n}", f" word{n % 7} word{n % 5}. Common\n\nword{n % 3}  ", title="x" * (n % 2))
        for n in range(60)
    ]
    queries = ["word1 word2", "common", "word6. Common", "none of it", "x word0"]
    with (
        Collection.create(tmp_path / "plain") as plain,
        Collection.create(tmp_path / "split", split=split) as cut,
    ):
        for collection in (plain, cut):
            collection.add(documents)
            collection.build("floor", HashingEmbedder(dim=32))
            collection.delete(["d7", "d30"])
        for k in (1, 10, 100):
            assert cut.search_many(queries, k=k) == plain.search_many(queries, k=k)
        wide = [plain.search(query, k=100) for query in queries]
        assert any(hit.passage == (0, len(hit.text)) for hits in wide for hit in hits)


def test_the_split_is_kept(tmp_path):
    split = Sentences(40, overlap=5, language="de")
    for made, expected in (
        (Collection.create(tmp_path / "c", split=split), split),
        (Collection.open(tmp_path / "c"), split),
        (Collection.open_or_create(tmp_path / "c", split=split), split),
        (Collection.open_or_create(tmp_path / "c"), split),
        (Collection.open_or_create(tmp_path / "new", split=Words(3)), Words(3)),
        (Collection.create(tmp_path / "plain"), None),
    ):
        with made as collection:
            assert collection.split == expected


def test_documents_added_after_opening_are_split_in_the_same_way(compass):
    with Collection.open(compass.path) as other:
        other.use("axes", Axes())
        other.add([Document("later", "fog fog up east fog fog")])
        assert other.build("axes").embedded == 3
        hits = other.search("up east", k=1)
        assert (rounded(hits), hits[0].passage) == ([("later", 1.0)], (8, 15))


def test_other_splits_and_other_types_are_refused(tmp_path):
    folder, plain, open_or_create = tmp_path / "c", tmp_path / "plain", Collection.open_or_create
    says = r"split is 200; expected Words\(200, overlap=50\) or"
    refused(InputError, says, Collection.create, folder, split=200)
    assert not folder.exists()
    for path, split in ((folder, Words(2, overlap=1)), (plain, None)):
        with Collection.create(path, split=split) as created:
            created.add([Document("a", "one two")])
    says = (
        f"{folder}/ splits documents into 2 words, overlapping by 1, and not into whole sentences "
        "up to 2 words: this is set when a collection is created. Leave split out, or create "
        "another collection."
    )
    refused(MismatchError, exactly(says), open_or_create, folder, split=Sentences(2))
    says = "plain/ splits none, and not into 3 words: this is"
    refused(MismatchError, says, open_or_create, plain, split=Words(3))


def test_runs_and_comparisons_rank_documents_and_not_passages(crowded):
    queries = {"q": "north", "r": "w3 east"}
    run = crowded.retriever("flat").run(queries, 20)
    for query_id, text in queries.items():
        assert run.ranking[query_id] == pairs(crowded.search(text, index="flat", k=20))
    assert len({doc_id for doc_id, _ in run.ranking["q"]}) == 20
    qrels = {"q": {"long": 1}, "r": {"d03": 1}}
    indexes = ["flat", "HNSW16", "SQ8"]
    result = compare(crowded, indexes, queries, qrels, k=5, measures=["R@5", "RR@5"])
    flat = result.rows["flat"]
    assert (flat.ann_recall, flat["R@5"], flat["RR@5"]) == (1.0, 1.0, 1.0)
    known = {document.doc_id for document in crowded.documents()}
    for run in result.runs.values():
        for ranking in run.ranking.values():
            doc_ids = [doc_id for doc_id, _ in ranking]
            assert len(set(doc_ids)) == len(doc_ids)
            assert set(doc_ids) <= known


def test_an_edited_document_answers_by_its_old_passages_until_a_build(compass):
    compass.add([Document("mixed", "fog up fog fog fog fog fog fog")])
    hits = compass.search("north", k=9)
    assert rounded(hits) == [("mixed", 1.0), ("ne", 0.707107)]
    assert [(hit.stale, hit.text, hit.passage) for hit in hits[:1]] == [(True, "fog up", (0, 6))]
    embedder = Axes()
    compass.build("axes", embedder)
    assert embedder.seen == ["fog up", "fog fog", "fog fog", "fog fog"]
    assert rounded(compass.search("north", k=9)) == [("ne", 0.707107), ("mixed", 0.0)]
    assert rounded(compass.search("up", k=9)) == [("mixed", 1.0), ("ne", 0.0)]
    assert compass.search("up", k=1)[0].text == "fog up"
    assert compass.verify().ok


@pytest.mark.parametrize("structure", ["HNSW8", "IVF1,Flat"])
def test_a_deleted_document_is_gone_with_all_its_passages(compass, structure):
    def check():
        for index in ("axes", "ann"):
            assert rounded(compass.search("north", index=index, k=9)) == [("ne", 0.707107)]

    compass.build("ann", vectors="axes", ann=structure)
    compass.delete(["mixed"])
    check()
    assert (len(compass), compass.info().passages, compass.compact().rows) == (2, 3, 3)
    check()
    assert compass.verify().ok


def test_missing_documents_are_counted_and_not_their_passages(compass):
    facts = compass.info()
    assert (facts.documents, facts.passages, facts.split) == (3, 6, "2 words")
    # Axes knows no word of the two passages of fog.
    index = facts.indexes[0]
    assert (index.rows, index.missing, index.unfindable, index.text.texts) == (4, 0, 2, 6)
    compass.add(Document(f"new{n}", "east up north up fog") for n in range(2))
    assert compass.search("north").notes == (lacks(compass, "axes", 2),)
    (index,) = compass.info().indexes
    assert (index.rows, index.missing, index.unfindable) == (4, 2, 2)


@settings(
    max_examples=examples(5),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("structure", ["HNSW16", "IVF4,Flat", "SQ8"])
def test_a_structure_over_passages_answers_like_brute_force(tmp_path_factory, structure, seed):
    random = np.random.default_rng(seed)
    documents = [
        Document(f"d{n}", " ".join(random.choice(40, random.integers(1, 30)).astype(str)))
        for n in range(40)
    ]
    folder = tmp_path_factory.mktemp("ann")
    with Collection.create(folder / "c", split=Words(4, overlap=1)) as collection:
        collection.add(documents[:30])
        collection.build("flat", HashingEmbedder(dim=32))
        collection.build("ann", vectors="flat", ann=structure)
        collection.delete(["d3", "d4"])
        collection.add(documents[30:])
        collection.build("flat")
        for k in (5, 38, 50):
            exact = collection.search("7 12 30", index="flat", k=k)
            found = collection.search("7 12 30", index="ann", k=k)
            assert len(set(ids(found))) == len(found) == len(exact) <= min(k, 38)
            # So few vectors are all visited.
            assert [hit.score for hit in found] == [hit.score for hit in exact]
