"""After any operations in any order, a collection answers like a dict and brute force."""

import itertools
import math
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from indexes.errors import FailedTextsError, InputError
from retriever import Collection, Document, HashingEmbedder, Words
from tests.support.models.pictures import BLUE, RED, picture
from tests.support.oracles.bm25 import Oracle
from tests.support.toy import lacks, refused

MEMORY = "/dev/shm"
WIDTH = 16
IMAGE = (-1, -1)
VOCABULARY = ("wind", "sand", "tide", "moon", "fern", "moss", "...")
COLORS = {RED: "wind tide", BLUE: "moon"}
INDEXES = {"flat": None, "graph": "HNSW8", "cells": "IVF2,Flat"}

names = st.sampled_from([f"d{n}" for n in range(14)])
texts = st.lists(st.sampled_from(VOCABULARY), min_size=0, max_size=9).map(" ".join)
titles = st.sampled_from(("", "", "wind", "salt"))
metadata = st.fixed_dictionaries(
    {}, optional={"year": st.integers(1, 4), "tags": st.lists(st.sampled_from("ab"), max_size=2)}
)
# Images by color, and the text whose vector an image of that color gets.
SEEN = {Document("x", image=picture(color)).image.checksum: text for color, text in COLORS.items()}
images = st.sampled_from((None, None, None, *map(picture, COLORS)))
documents = st.builds(Document, names, texts, titles, metadata, images)
batches = st.lists(documents, max_size=6, unique_by=lambda document: document.doc_id)
ks = st.sampled_from((1, 2, 5, 100))
queries = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=3).map(" ".join)

NO_YEAR = {"year": {"exists": False}}
# Filters, each with the same condition in Python.
FILTERS = (
    ({"year": 2}, lambda m: m.get("year") == 2),
    ({"year": {">=": 3}}, lambda m: m.get("year", 0) >= 3),
    (NO_YEAR, lambda m: "year" not in m),
    ({"tags": "a"}, lambda m: "a" in m.get("tags", [])),
    ({"not": {"tags": "b"}}, lambda m: "b" not in m.get("tags", [])),
    (
        {"or": [{"year": 1}, {"tags": "b"}]},
        lambda m: m.get("year") == 1 or "b" in m.get("tags", []),
    ),
    ({"year": 9}, lambda m: False),
)
filters = st.sampled_from(FILTERS)


@dataclass(frozen=True)
class Known:
    """A document of the model: `first` is the key of its first passage.

    `by_vectors` and `by_words` are the key and the text of each passage of earlier texts that may
    answer for it as long as the vectors, or BM25, lack a passage of this one.
    """

    document: Document
    first: int
    spans: tuple[tuple[int, int], ...]
    by_vectors: tuple[tuple[int, str], ...] = ()
    by_words: tuple[tuple[int, str], ...] = ()

    @property
    def keys(self):
        return range(self.first, self.first + len(self.spans))

    @property
    def passages(self):
        """The key, the text and the shown span of each passage; of an image, what it shows."""
        return [(key, *self.shown(span)) for key, span in zip(self.keys, self.spans, strict=True)]

    def shown(self, span):
        title, text = self.document.title, self.document.text
        if span == IMAGE:
            return SEEN[self.document.image.checksum], (0, len(text))
        part = text[slice(*span)]
        return f"{title} {part}" if title else part, span

    def earlier(self, stop, noted):
        """What may answer for the next text: this one's passages before `stop`, if it has all."""
        covered = tuple((key, text) for key, text, _ in self.passages if key < stop)
        return covered if len(covered) == len(self.spans) else (*noted, *covered)

    def answering(self, stop, noted):
        """The key, text and shown span of each passage that answers, and whether it is stale."""
        stale = noted if max(self.keys) >= stop else ()
        present = [(*row, False) for row in self.passages if row[0] < stop]
        return [(key, text, self.shown(self.spans[0])[1], True) for key, text in stale] + present


class BrokenError(Exception):
    """What a failing source or embedder raises."""


class Seeing(HashingEmbedder):
    """Takes an image for the text that `SEEN` has of it."""

    modalities = ("text", "image")

    def encode_images(self, images):
        return HashingEmbedder.encode_documents(self, [SEEN[one.checksum] for one in images])


class Failing(Seeing):
    """Raises before it has embedded more than `most` texts."""

    def __init__(self, most):
        super().__init__(WIDTH)
        self.most, self.done = most, 0

    def encode_documents(self, texts):
        if self.done + len(texts) > self.most:
            raise BrokenError
        self.done += len(texts)
        return super().encode_documents(texts)


def vectors_of(texts):
    """Return the embedder's vectors in double precision; zeros where there is nothing to embed."""
    return HashingEmbedder(WIDTH).encode_documents(texts).astype(np.float64)


def query_vector(text):
    """Return a query's vector as a search normalizes it, to the last bit of single precision."""
    (vector,) = vectors_of([text])
    length = np.sqrt(vector @ vector)
    return (vector / (length or 1.0)).astype(np.float32).astype(np.float64)


class Machine(RuleBasedStateMachine):
    """A collection and its model: the documents by id.

    Keys before `embedded` have their vectors. `words` is BM25 over the texts of keys before `read`.
    """

    split = None
    steps = 0

    @initialize(batch=batches)
    def create(self, batch):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "c"
        self.collection = Collection.create(self.path, split=self.split)
        self.abandoned, self.known, self.indexes, self.words = [], {}, set(), None
        self.next_key = self.embedded = 1
        self.add(batch)

    def teardown(self):
        if hasattr(self, "folder"):
            for collection in (self.collection, *self.abandoned):
                collection.close()
            self.folder.cleanup()

    def apply(self, batch):
        """Apply an `add` to the model."""
        for document in batch:
            old = self.known.get(document.doc_id)
            if old and content_of(old.document) == content_of(document):
                self.known[document.doc_id] = replace(old, document=document)
                continue
            text = document.text
            spans = []
            if text or document.title or document.image is None:
                spans += self.split.spans(text) if self.split else [(0, len(text))]
            spans += [IMAGE] * (document.image is not None)
            noted = ()
            if old:
                read = self.read if self.words else 1
                noted = (
                    old.earlier(self.embedded, old.by_vectors),
                    old.earlier(read, old.by_words),
                )
            self.known[document.doc_id] = Known(document, self.next_key, tuple(spans), *noted)
            self.next_key += len(spans)

    def ranking(self, scores, matches, order):
        """Return the best passage of each document: (-score, key, id, start, end, stale).

        Best first. `scores` returns the passages of a document that answer, and their scores; None
        for one that is not found.
        """
        best = []
        for doc_id, known in self.known.items():
            rows = zip(*scores(known), strict=True)
            found = [
                (-x, key, doc_id, *span, old) for (key, _, span, old), x in rows if x is not None
            ]
            if found and matches(known.document.metadata):
                best.append(min(found, key=order))
        return sorted(best, key=order)

    def vector_ranking(self, query, matches):
        vector = query_vector(query)

        def cosines(known):
            passages = known.answering(self.embedded, known.by_vectors)
            rows = vectors_of([text for _, text, *_ in passages])
            return passages, [
                float(row @ vector) if row.any() and vector.any() else None for row in rows
            ]

        return self.ranking(cosines, matches, rounded)

    def words_ranking(self, query, matches):
        def bm25(known):
            passages = known.answering(self.read, known.by_words)
            # An image is not read.
            scores = [
                self.words.score(query, key) if key in self.texts else 0 for key, *_ in passages
            ]
            return passages, [score or None for score in scores]

        return self.ranking(bm25, matches, to_four_decimals)

    def read_all(self):
        """Apply a build of BM25 to the model."""
        self.texts = {
            key: text
            for known in self.known.values()
            for (key, text, _), span in zip(known.passages, known.spans, strict=True)
            if span != IMAGE
        }
        self.words, self.read = Oracle(self.texts), self.next_key

    @property
    def todo(self):
        """Keys without a vector, in order."""
        keys = itertools.chain.from_iterable(known.keys for known in self.known.values())
        return sorted(key for key in keys if key >= self.embedded)

    @property
    def sees_todo(self):
        """Whether an image has no vector yet: `Failing` counts texts."""
        return any(
            key >= self.embedded and span == IMAGE
            for known in self.known.values()
            for key, span in zip(known.keys, known.spans, strict=True)
        )

    def missing(self, stop, noted, answers):
        """Count the documents with a passage that is not embedded, or not read.

        First those without an earlier text that answers, then the others.
        """
        lacking = [known for known in self.known.values() if max(known.keys) >= stop]
        stale = sum(any(map(answers, getattr(known, noted))) for known in lacking)
        return len(lacking) - stale, stale

    @property
    def unread(self):
        return self.missing(self.read, "by_words", lambda _: True)

    @property
    def unembedded(self):
        return self.missing(self.embedded, "by_vectors", has_vector)

    def crash(self):
        """Continue as another process would: nothing that is open gets closed."""
        self.abandoned.append(self.collection)
        self._open()

    @rule(batch=batches)
    def add(self, batch):
        before = {name: known.document for name, known in self.known.items()}
        added = self.collection.add(batch)
        # Metadata keep the order of their keys: in another order, they are other metadata.
        same = sum(repr(before.get(document.doc_id)) == repr(document) for document in batch)
        new = sum(document.doc_id not in before for document in batch)
        assert (added.new, added.changed, added.unchanged) == (new, len(batch) - new - same, same)
        self.apply(batch)

    @precondition(lambda self: self.known)
    @rule(data=st.data(), text=texts)
    def edit(self, data, text):
        old = self.known[data.draw(st.sampled_from(sorted(self.known)))].document
        self.add([replace(old, text=text)])

    @precondition(lambda self: self.known)
    @rule(word=st.sampled_from(VOCABULARY))
    def edit_all(self, word):
        """Change all documents, so that an ANN index holds deleted passages only."""
        old = [known.document for known in self.known.values()]
        self.add([replace(document, text=f"{document.text} {word}") for document in old])

    @rule(batch=batches)
    def add_from_a_failing_source(self, batch):
        def broken():
            yield from batch
            raise BrokenError

        refused(BrokenError, None, self.collection.add, broken())
        self.crash()

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def delete(self, data):
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.known)), min_size=1, max_size=4))
        assert self.collection.delete(chosen) == len(set(chosen))
        for doc_id in set(chosen):
            del self.known[doc_id]

    @rule(where=filters)
    def delete_where(self, where):
        wanted, matches = where
        gone = [name for name, one in self.known.items() if matches(one.document.metadata)]
        tagged = any("tags" in one.document.metadata for one in self.known.values())
        if gone and "not" in wanted and not tagged:
            refused(InputError, "Nothing was deleted", self.collection.delete, where=wanted)
            return
        assert self.collection.delete(where=wanted) == len(gone)
        for doc_id in gone:
            del self.known[doc_id]

    @rule(field=st.sampled_from(("year", "tags")))
    def index_a_field(self, field):
        self.collection.index_fields(field)

    @property
    def buildable(self):
        """Whether there are enough vectors for two cells; equal ones are one to an index."""
        texts = {text for known in self.known.values() for _, text, _ in known.passages}
        directions = {tuple(query_vector(text).round(4)) for text in texts}
        return len(directions - {(0.0,) * WIDTH}) > 1

    @precondition(lambda self: self.known)
    @rule()
    def build(self):
        report = self.collection.build("flat", Seeing(WIDTH))
        assert report.embedded == len(self.todo)
        self.embedded = self.next_key
        self.indexes.add("flat")

    @precondition(lambda self: "flat" in self.indexes and self.buildable)
    @rule(index=st.sampled_from(("graph", "cells")))
    def build_ann(self, index):
        self.collection.build(index, vectors="flat", ann=INDEXES[index])
        self.embedded = self.next_key
        self.indexes.add(index)

    @precondition(lambda self: self.todo and not self.sees_todo)
    @rule(most=st.integers(0, 12))
    def build_with_a_failing_embedder(self, most):
        embedder, todo = Failing(most), self.todo
        if len(todo) <= most:
            return
        # If it embedded only texts without words, the other texts may be at fault.
        refused((BrokenError, FailedTextsError), None, self.collection.build, "flat", embedder)
        if embedder.done:
            self.embedded = todo[embedder.done - 1] + 1
            self.indexes.add("flat")
        self.crash()

    @precondition(lambda self: self.indexes - {"flat"})
    @rule(data=st.data())
    def drop_ann(self, data):
        index = data.draw(st.sampled_from(sorted(self.indexes - {"flat"})))
        self.collection.drop(index)
        self.indexes.remove(index)

    @precondition(lambda self: self.known)
    @rule()
    def build_bm25(self):
        self.collection.build("bm25", lexical=True, language="none")
        self.read_all()

    @precondition(lambda self: self.words)
    @rule()
    def drop_words(self):
        self.collection.drop("bm25")
        self.words = None

    @rule()
    def compact(self):
        self.collection.compact()
        if self.words:
            self.read_all()
        old = [k for k in self.known.values() if k.by_vectors and max(k.keys) >= self.embedded]
        noted = {key for known in old for key, _ in known.by_vectors}
        assert set(self.collection._store.corpus.tombstones().tolist()) == noted

    @rule()
    def verify(self):
        checked = self.collection.verify()
        passages = sum(len(known.spans) for known in self.known.values())
        assert checked.problems == ()
        assert (checked.documents, checked.passages) == (len(self.known), passages)
        for info in self.collection.info().indexes:
            new, stale = self.unread if info.name == "bm25" else self.unembedded
            assert (info.missing, info.stale) == (new + stale, stale)

    def _open(self):
        self.collection = Collection.open(self.path)
        if self.indexes:
            # By its spec, a plain HashingEmbedder would be loaded, which takes no image.
            self.collection.use("flat", Seeing(WIDTH))

    @rule()
    def reopen(self):
        self.collection.close()
        self._open()

    @precondition(lambda self: self.indexes or self.words)
    @rule(query=queries, k=ks)
    def search(self, query, k):
        self.compare(query, k, None, lambda _: True)

    @precondition(lambda self: self.indexes or self.words)
    @rule(query=queries, k=ks, where=filters)
    def search_with_a_filter(self, query, k, where):
        self.compare(query, k, *where)

    def compare(self, query, k, where, matches):
        """Compare the answer of each index with the model's: ids, scores, passages, notes."""
        vectors = self.vector_ranking(query, matches)
        for index in self.indexes:
            hits = self.collection.search(query, index=index, k=k, where=where)
            missing = lacks(self.collection, index, *self.unembedded)
            self.check(hits, k, vectors, missing, 1e-6)
            # An ANN index may return any of those that tie with the last one.
            if INDEXES[index] is None:
                shown = [(h.doc_id, *h.passage, h.stale) for h in hits]
                assert shown == [row[2:] for row in vectors[:k]]
        if self.words:
            hits = self.collection.search(query, index="bm25", k=k, where=where)
            missing = lacks(self.collection, "bm25", *self.unread)
            self.check(hits, k, self.words_ranking(query, matches), missing, 2e-4)
            scores = [hit.score for hit in hits]
            assert scores == sorted(scores, reverse=True)

    def check(self, hits, k, ranking, missing, within):
        """Check hits against a whole ranking, within a tolerance of scores: ties may be swapped."""
        scores = [hit.score for hit in hits]
        assert scores == pytest.approx([-score for score, *_ in ranking[:k]], abs=within)
        score_of = {doc_id: -score for score, _, doc_id, *_ in ranking}
        assert scores == pytest.approx([score_of[hit.doc_id] for hit in hits], abs=within)
        assert len({hit.doc_id for hit in hits}) == len(hits)
        for rank, hit in enumerate(hits, start=1):
            document = self.known[hit.doc_id].document
            assert hit.rank == rank
            assert hit.text == document.text[slice(*hit.passage)]
            assert (hit.title, hit.metadata) == (document.title, document.metadata)
        notes = [note for note in hits.notes if "retriever build" in note]
        assert notes == [missing] * (not missing.startswith("."))

    @invariant()
    def documents_are_those_of_the_model(self):
        type(self).steps += 1
        if not hasattr(self, "collection"):
            return
        assert len(self.collection) == len(self.known)
        found = {document.doc_id: document for document in self.collection.documents()}
        assert [*map(with_checksum, found.values())] == [
            with_checksum(self.known[name].document) for name in found
        ]
        assert found.keys() == self.known.keys()


class SplitMachine(Machine):
    split = Words(3, overlap=1)
    steps = 0


def content_of(document):
    """What is embedded of a document."""
    return document.title, document.text, document.image and document.image.checksum


def with_checksum(document):
    """A document with the checksum of its image, wherever that is kept."""
    return replace(document, image=None), content_of(document)


def has_vector(passage):
    """Whether there is anything to embed in a passage, given by key and text."""
    return vectors_of([passage[1]]).any()


def rounded(row):
    """Sort key: scores that are equal in single precision tie; ties are ordered by key."""
    score, key, *_ = row
    return np.float32(score), key


def to_four_decimals(row):
    """Sort key for BM25, which has single precision: what differs here may tie there."""
    score, key, *_ = row
    return round(score, 4), key


SETTINGS = settings(
    max_examples=45,
    stateful_step_count=40,
    deadline=None,
    # Shrinking a failure takes minutes, as each step writes to disk. Add Phase.shrink for it.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


# The second one encodes each batch but the first in the background.
@pytest.mark.parametrize(("machine", "background"), [(Machine, math.inf), (SplitMachine, 0.0)])
def test_a_collection_answers_like_a_dict_and_brute_force(
    machine, background, monkeypatch, record_testsuite_property
):
    if os.access(MEMORY, os.W_OK):
        # A disk would only slow this down; other tests inject disk faults.
        monkeypatch.setattr(tempfile, "tempdir", MEMORY)
    # Small batches, each committed by itself: a build can be interrupted between them.
    monkeypatch.setattr("indexes.pipeline.builder.FIRST_BATCH", 2)
    monkeypatch.setattr("indexes.pipeline.builder.COMMIT_SECONDS", 0.0)
    # Batch sizes, threads and commits must not depend on how fast the machine is.
    monkeypatch.setattr("indexes.pipeline.builder.BATCH_SECONDS", 1e9)
    monkeypatch.setattr("indexes.pipeline.embedding_job.BACKGROUND_SECONDS", background)
    monkeypatch.setattr("indexes.ingest.batches.COMMIT_SECONDS", math.inf)
    run_state_machine_as_test(machine, settings=SETTINGS)
    record_testsuite_property(f"steps of {machine.__name__}", machine.steps)


@pytest.mark.parametrize("factory", ["HNSW8", "IVF2,Flat", "PQ2x2"])
def test_an_ann_index_with_only_deleted_rows_hides_no_document(collection, factory):
    collection.add(Document(str(n), f"wind sand{n}") for n in range(8))
    collection.build("flat", HashingEmbedder(WIDTH))
    collection.build("ann", vectors="flat", ann=factory)
    collection.add(Document(str(n), f"wind tide{n}") for n in range(8))
    stale = collection.search("wind", index="ann", k=3)
    assert [(hit.stale, hit.text[:9]) for hit in stale] == [(True, "wind tide")] * 3
    collection.build("flat")
    found = [collection.search("wind", index=name, k=3) for name in ("ann", "flat")]
    assert [hit.score for hit in found[0]] == [hit.score for hit in found[1]]
    collection.delete([str(n) for n in range(8)])
    assert len(collection.search("wind", index="ann", k=3)) == 0
