"""An edited document answers by its last embedded text, in each index, until the next is there."""

import contextlib
import sqlite3
import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import DamageError, FailedTextsError
from retriever import Collection, Document, Words
from tests.support.laws import examples
from tests.support.models.fittable import Rare
from tests.support.toy import Axes, lacks, pairs, refused

# One word for each version of a document; a version may also be a text without any of them.
WORDS = [f"w{n}" for n in range(60)]
VECTORS = {"one": WORDS, "other": [*WORDS, "more"]}

edits = st.tuples(st.just("edit"), st.integers(0, 4), st.booleans())
deletes = st.tuples(st.just("delete"), st.integers(0, 4))
builds = st.tuples(st.just("build"), st.sampled_from(list(VECTORS)), st.integers(0, 6))
others = st.sampled_from([("build_graph",), ("build_words",), ("compact",)])
operations = st.lists(st.one_of(edits, edits, builds, builds, deletes, others), max_size=16)


class Model:
    """The text by which each document answers in each index, and the present text."""

    def __init__(self, collection):
        self.collection, self.version, self.present = collection, 0, {}
        self.answering = {name: {} for name in VECTORS}

    def edit(self, number, nothing):
        text = f"fog{self.version}" if nothing else WORDS[self.version]
        self.version += 1
        self.collection.add([Document(f"d{number}", text)])
        self.present[f"d{number}"] = text

    def delete(self, number):
        if self.present.pop(f"d{number}", None):
            self.collection.delete([f"d{number}"])
            for answering in self.answering.values():
                answering.pop(f"d{number}", None)

    def build(self, name, most):
        """Build one embedding, and stop after some texts."""
        if not self.present:
            return
        embedder = Axes(name, most, VECTORS[name])
        try:
            self.collection.build(name, embedder)
            done = embedder.seen
        except KeyboardInterrupt:
            done = embedder.seen[:-1]
        owners = {text: doc_id for doc_id, text in self.present.items()}
        self.answering[name] |= {owners[text]: text for text in done}

    def build_graph(self):
        self.build("one", len(WORDS))
        if any(text in WORDS for text in self.answering["one"].values()):
            self.collection.build("graph", vectors="one", ann="HNSW4")
            self.answering["graph"] = self.answering["one"]

    def build_words(self):
        if self.present:
            self.collection.build("words", lexical=True, language="none")
            self.answering["words"] = dict(self.present)

    def compact(self):
        self.collection.compact()
        if "words" in self.answering:
            self.answering["words"] = dict(self.present)

    def check(self):
        """Every version of every document is asked for: only the last embedded one answers."""
        asked = WORDS[: self.version]
        for name in self.collection.index_names():
            answers = self.collection.search_many(asked, index=name, k=9) if asked else []
            found = {
                (hit.doc_id, word, hit.text, hit.stale)
                for word, hits in zip(asked, answers, strict=True)
                for hit in hits
                if hit.score > 0
            }
            assert found == {
                (doc_id, text, self.present[doc_id], text != self.present[doc_id])
                for doc_id, text in self.answering[name].items()
                if text in WORDS
            }
        assert self.collection.verify().problems == ()


@settings(max_examples=examples(12), deadline=None)
@given(operations)
def test_the_last_embedded_version_of_a_document_answers_and_only_it(some):
    small = {"FIRST_BATCH": 1, "LARGEST_BATCH": 1, "COMMIT_SECONDS": 0.0}
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.multiple("indexes.pipeline.builder", **small),
        Collection.create(Path(folder) / "c") as collection,
    ):
        model = Model(collection)
        for name, *arguments in some:
            getattr(model, name)(*arguments)
            model.check()


NORTH, EAST = {"side": "north"}, {"side": "east"}


def shown(hits):
    return [(hit.doc_id, round(hit.score, 3), hit.text, hit.stale) for hit in hits]


@pytest.fixture
def edited(collection):
    """`a` said north, and says east now; `b` says up; vectors, a graph over them, and BM25."""
    collection.add([Document("a", "north", metadata=NORTH), Document("b", "up", metadata=NORTH)])
    collection.build("axes", Axes())
    collection.build("graph", vectors="axes", ann="HNSW4")
    collection.build("words", lexical=True)
    collection.add([Document("a", "east", "New", EAST)])
    return collection


INDEXES = ("axes", "graph", "words")


def test_a_stale_hit_shows_the_present_document(edited):
    for index in INDEXES:
        hit = edited.search("north", index=index)[0]
        assert (hit.doc_id, hit.title, hit.text, hit.passage) == ("a", "New", "east", (0, 4))
        assert (hit.metadata, hit.stale) == (EAST, True)
        assert edited.retriever(index).run({"q": "north"}, 1).ranking["q"][0][0] == "a"
    for info in edited.info().indexes:
        assert (info.missing, info.stale) == (1, 1)


def test_a_filter_takes_a_stale_hit_by_its_present_metadata(edited):
    for index in INDEXES:
        for where, found in ((NORTH, []), (EAST, ["a"]), ({"side": {"exists": True}}, ["a"])):
            hits = edited.search("north", index=index, where=where)
            assert [hit.doc_id for hit in hits if hit.score > 0] == found
    edited.build("axes")
    assert shown(edited.search("north", index="axes", where=EAST)) == [("a", 0, "east", False)]


def test_a_deleted_document_is_gone_though_it_was_edited_before(edited):
    edited.delete(["a"])
    for index in INDEXES:
        hits = edited.search("north", index=index)
        assert not any(hit.score > 0 for hit in hits)
        # No text has the word any more; nothing is said of an earlier one.
        assert all(note.startswith("No known word in 'north'") for note in hits.notes)
    # Another document under its id is not the one that was edited.
    edited.add([Document("a", "south")])
    for index in INDEXES:
        assert lacks(edited, index, 1) in edited.search("north", index=index).notes
        assert not any(hit.score > 0 for hit in edited.search("north", index=index))
    assert edited.verify().ok


def test_an_earlier_text_answers_for_one_that_cannot_be_embedded(collection):
    class Picky(Axes):
        def encode_documents(self, texts):
            if "east" in texts:
                raise RuntimeError("no east")
            return super().encode_documents(texts)

    collection.add([Document("a", "north"), Document("b", "up")])
    collection.build("axes", Picky())
    collection.build("graph", vectors="axes", ann="HNSW4")
    collection.add([Document("a", "east"), Document("b", "up up")])
    refused(FailedTextsError, None, collection.build, "axes")
    refused(FailedTextsError, None, collection.build, "graph")
    for again in ("", "compact"):
        if again:
            collection.compact()
        for index in ("axes", "graph"):
            found = [("a", 1, "east", True), ("b", 0, "up up", False)]
            assert shown(collection.search("north", index=index)) == found
        assert collection.verify().ok
    collection.use("axes", Axes())
    assert collection.build("axes").embedded == 1
    for index in ("axes", "graph"):
        assert shown(collection.search("east", index=index))[0] == ("a", 1, "east", False)
        assert not any(hit.score > 0 for hit in collection.search("north", index=index))
    assert collection.compact().rows == 1
    assert collection.verify().ok


def test_a_refit_that_cannot_embed_an_edited_document_keeps_its_earlier_text(collection):
    class Picky(Rare):
        def encode_documents(self, texts):
            if "east up" in texts:
                raise RuntimeError("no east up")
            return super().encode_documents(texts)

        def _with(self, weights):
            made = Picky(self.name, self.words, self.option, weights)
            made.seen = self.seen
            return made

    collection.add([Document("a", "north"), Document("b", "north up")])
    collection.build("rare", Picky())
    collection.add([Document("a", "east up"), Document("c", "up")])
    refused(FailedTextsError, None, collection.build, "rare", Picky(), refit=True)
    hit = collection.search("north", index="rare")[0]
    assert (hit.doc_id, hit.text, hit.stale) == ("a", "east up", True)
    assert collection.verify().ok


@pytest.fixture
def split(tmp_path):
    with Collection.create(tmp_path / "split", split=Words(1)) as collection:
        collection.add([Document("a", "north north up"), Document("b", "up")])
        collection.build("axes", Axes())
        yield collection


def test_old_and_new_passages_of_a_split_document_compete_until_all_are_embedded(split):
    small = {"FIRST_BATCH": 1, "LARGEST_BATCH": 1, "COMMIT_SECONDS": 0.0}
    split.add([Document("a", "east east east")])
    assert pairs(split.search("north", k=9))[0] == ("a", 1)
    with patch.multiple("indexes.pipeline.builder", **small):
        refused(KeyboardInterrupt, None, split.build, "axes", Axes(fail_after=1))
    assert shown(split.search("north"))[0] == ("a", 1, "east", True)
    assert shown(split.search("east"))[0] == ("a", 1, "east", False)
    # Both have been embedded in part: both answer for the third.
    split.add([Document("a", "fog fog")])
    for query in ("north", "east"):
        assert shown(split.search(query))[0] == ("a", 1, "fog", True)
    assert split.search("north").notes == (lacks(split, "axes", stale=1),)
    split.build("axes", Axes())
    assert shown(split.search("north")) == [("b", 0, "up", False)]
    assert split.compact().rows == 4
    assert split.verify().ok


def test_a_row_of_what_answers_that_was_changed_is_found(edited):
    change = "UPDATE stale SET document = 9"
    with edited._store.catalog.writing():
        edited._store.catalog.execute(change)
    said = "1 passage of an earlier text without a document or a tombstone."
    assert [str(problem) for problem in edited.verify().problems] == [said]
    with contextlib.closing(sqlite3.connect(edited.path / "catalog.db")) as db, db:
        db.execute(change.replace("9", "1"))
    with Collection.open(edited.path) as reader:
        refused(DamageError, "not what was committed", reader.search, "north", index="words")
