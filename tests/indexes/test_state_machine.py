"""Whatever is done to a collection, in whatever order: it answers like a dict and brute force."""

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

from indexes.errors import FailedTextsError
from retriever import Collection, Document, HashingEmbedder, Words
from tests.support.bm25 import Oracle

MEMORY = "/dev/shm"
WIDTH = 16
VOCABULARY = ("wind", "sand", "tide", "moon", "fern", "moss", "...")
INDEXES = {"flat": None, "graph": "HNSW8", "cells": "IVF2,Flat"}
NAMES = tuple(f"d{n}" for n in range(14))

names = st.sampled_from(NAMES)
texts = st.lists(st.sampled_from(VOCABULARY), min_size=0, max_size=9).map(" ".join)
titles = st.sampled_from(("", "", "wind", "salt"))
metadata = st.fixed_dictionaries(
    {}, optional={"year": st.integers(1, 4), "tags": st.lists(st.sampled_from("ab"), max_size=2)}
)
documents = st.builds(Document, names, texts, titles, metadata)
batches = st.lists(documents, max_size=6, unique_by=lambda document: document.doc_id)
ks = st.sampled_from((1, 2, 5, 100))
queries = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=3).map(" ".join)

# Filters, each beside what it means.
FILTERS = (
    ({"year": 2}, lambda m: m.get("year") == 2),
    ({"year": {">=": 3}}, lambda m: m.get("year", 0) >= 3),
    ({"year": {"exists": False}}, lambda m: "year" not in m),
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
    """A document as the model has it: `first` numbers its passages in the order they came in."""

    document: Document
    first: int
    spans: tuple[tuple[int, int], ...]

    @property
    def keys(self):
        return range(self.first, self.first + len(self.spans))


class BrokenError(Exception):
    pass


class Failing(HashingEmbedder):
    """Gives up before it has embedded more than so many texts."""

    def __init__(self, most):
        super().__init__(WIDTH)
        self.most = most
        self.done = 0

    def encode_documents(self, texts):
        if self.done + len(texts) > self.most:
            raise BrokenError
        self.done += len(texts)
        return super().encode_documents(texts)


def vectors_of(texts):
    """What the embedder gives, in double precision; zeros where there is nothing to embed."""
    return HashingEmbedder(WIDTH).encode_documents(texts).astype(np.float64)


def query_vector(text):
    """A query's vector: its length is made 1 once more, to the last bit of single precision."""
    (vector,) = vectors_of([text])
    length = np.sqrt(vector @ vector)
    return (vector / (length or 1.0)).astype(np.float32).astype(np.float64)


class Machine(RuleBasedStateMachine):
    """A collection beside its model: documents by id; keys before `embedded` have their vectors,
    and BM25 has read what `words` has, to before `read`.
    """

    split = None
    steps = 0

    @initialize(batch=batches)
    def create(self, batch):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "c"
        self.collection = Collection.create(self.path, split=self.split)
        self.abandoned = []
        self.known = {}
        self.next_key = 1
        self.indexes = []
        self.embedded = 1
        self.words = None
        self.add(batch)

    def teardown(self):
        if hasattr(self, "folder"):
            for collection in (self.collection, *self.abandoned):
                collection.close()
            self.folder.cleanup()

    # -- the model ------------------------------------------------------------------------------

    def take(self, batch):
        """What an `add` does to the model."""
        for document in batch:
            old = self.known.get(document.doc_id)
            if old and (old.document.title, old.document.text) == (document.title, document.text):
                self.known[document.doc_id] = replace(old, document=document)
                continue
            text = document.text
            spans = self.split.spans(text) if self.split else [(0, len(text))]
            self.known[document.doc_id] = Known(document, self.next_key, tuple(spans))
            self.next_key += len(spans)

    def ranking(self, query, k, matches):
        """The `k` best of the documents that are embedded: (score, key, id, start, end)."""
        vector = query_vector(query)
        if not vector.any():
            return []
        best = []
        for doc_id, known in self.known.items():
            if not matches(known.document.metadata):
                continue
            passages = self.passages(known)
            rows = vectors_of([text for _, text, _ in passages])
            found = [
                (-float(row @ vector), key, doc_id, *span)
                for row, (key, _, span) in zip(rows, passages, strict=True)
                if row.any() and key < self.embedded
            ]
            best += [min(found, key=rounded)] if found else []
        return sorted(best, key=rounded)[:k]

    def passages(self, known):
        """The texts of a document's passages by key, and where each stands."""
        document = known.document
        stretches = [document.text[start:end] for start, end in known.spans]
        texts = [f"{document.title} {one}" if document.title else one for one in stretches]
        return list(zip(known.keys, texts, known.spans, strict=True))

    def read_all(self):
        """What a build of BM25 does to the model."""
        live = (row for known in self.known.values() for row in self.passages(known))
        self.words, self.read = Oracle({key: text for key, text, _ in live}), self.next_key

    def words_ranking(self, query, matches):
        """The documents that BM25 has read and that share a word: (score, key, id, start, end)."""
        best = []
        for doc_id, known in self.known.items():
            found = [
                (-score, key, doc_id, *span)
                for key, _, span in self.passages(known)
                if key < self.read and (score := self.words.score(query, key))
            ]
            if found and matches(known.document.metadata):
                best.append(min(found, key=to_four_decimals))
        return sorted(best, key=to_four_decimals)

    @property
    def todo(self):
        """The keys that have no vector yet, in order."""
        keys = itertools.chain.from_iterable(known.keys for known in self.known.values())
        return sorted(key for key in keys if key >= self.embedded)

    def missing(self, stop):
        """How many documents are not embedded, or read, to their end."""
        return sum(max(known.keys) >= stop for known in self.known.values())

    def crash(self):
        """Go on as another process would: what was open is left as it is."""
        self.abandoned.append(self.collection)
        self.collection = Collection.open(self.path)

    # -- what is done ---------------------------------------------------------------------------

    @rule(batch=batches)
    def add(self, batch):
        before = {name: known.document for name, known in self.known.items()}
        added = self.collection.add(batch)
        # The keys of metadata are kept in the user's order: in another, they are another's.
        same = sum(repr(before.get(document.doc_id)) == repr(document) for document in batch)
        new = sum(document.doc_id not in before for document in batch)
        assert (added.new, added.changed, added.unchanged) == (new, len(batch) - new - same, same)
        self.take(batch)

    @precondition(lambda self: self.known)
    @rule(data=st.data(), text=texts)
    def edit(self, data, text):
        old = self.known[data.draw(st.sampled_from(sorted(self.known)))].document
        batch = [replace(old, text=text)]
        self.collection.add(batch)
        self.take(batch)

    @precondition(lambda self: self.known)
    @rule(word=st.sampled_from(VOCABULARY))
    def edit_all(self, word):
        """What a structure holds is then all gone, and all that there is, it has not seen."""
        batch = [
            replace(known.document, text=f"{known.document.text} {word}")
            for known in self.known.values()
        ]
        assert self.collection.add(batch).changed == len(batch)
        self.take(batch)

    @rule(batch=batches)
    def add_from_a_source_that_breaks(self, batch):
        def broken():
            yield from batch
            raise BrokenError

        with pytest.raises(BrokenError):
            self.collection.add(broken())
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
        assert self.collection.delete(where=wanted) == len(gone)
        for doc_id in gone:
            del self.known[doc_id]

    @rule(field=st.sampled_from(("year", "tags")))
    def index_a_field(self, field):
        self.collection.index_fields(field)

    @property
    def buildable(self):
        """Whether there is anything with a vector, enough of it for two cells."""
        passages = [
            f"{one.document.title} {one.document.text[start:end]}"
            for one in self.known.values()
            for start, end in one.spans
        ]
        return len(passages) > 1 and int(vectors_of(passages).any(axis=1).sum()) > 1

    @precondition(lambda self: self.known)
    @rule()
    def build(self):
        report = self.collection.build("flat", HashingEmbedder(WIDTH))
        assert report.embedded == len(self.todo)
        self.embedded = self.next_key
        self.indexes = list(dict.fromkeys([*self.indexes, "flat"]))

    @precondition(lambda self: "flat" in self.indexes and self.buildable)
    @rule(index=st.sampled_from(("graph", "cells")))
    def build_a_structure(self, index):
        self.collection.build(index, vectors="flat", ann=INDEXES[index])
        self.embedded = self.next_key
        self.indexes = list(dict.fromkeys([*self.indexes, index]))

    @precondition(lambda self: self.todo)
    @rule(most=st.integers(0, 12))
    def build_with_an_embedder_that_breaks(self, most):
        embedder, todo = Failing(most), self.todo
        if len(todo) <= most:
            return
        # Where it took only texts that have no vector, the others may be at fault.
        with pytest.raises((BrokenError, FailedTextsError)):
            self.collection.build("flat", embedder)
        if embedder.done:
            # Whatever was done was committed.
            self.embedded = todo[embedder.done - 1] + 1
            self.indexes = list(dict.fromkeys([*self.indexes, "flat"]))
        self.crash()

    @precondition(lambda self: set(self.indexes) - {"flat"})
    @rule(data=st.data())
    def drop_a_structure(self, data):
        index = data.draw(st.sampled_from(sorted(set(self.indexes) - {"flat"})))
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
        assert not len(self.collection._store.corpus.tombstones())

    @rule()
    def verify(self):
        checked = self.collection.verify()
        assert checked.problems == ()
        assert checked.documents == len(self.known)
        assert checked.passages == sum(len(known.spans) for known in self.known.values())

    @rule()
    def reopen(self):
        self.collection.close()
        self.collection = Collection.open(self.path)

    # -- what is asked --------------------------------------------------------------------------

    @precondition(lambda self: self.indexes or self.words)
    @rule(query=queries, k=ks)
    def search(self, query, k):
        self.compare(query, k, None, lambda _: True)

    @precondition(lambda self: self.indexes or self.words)
    @rule(query=queries, k=ks, where=filters)
    def search_with_a_filter(self, query, k, where):
        self.compare(query, k, *where)

    def compare(self, query, k, where, matches):
        """Each index's answer with the model's: ids, scores, passages, notes."""
        if self.words:
            whole = self.words_ranking(query, matches)
            hits = self.collection.search(query, index="bm25", k=k, where=where)
            scores = [hit.score for hit in hits]
            assert scores == pytest.approx([-score for score, *_ in whole[:k]], abs=2e-4)
            self.check_with_ties(hits, whole, 2e-4)
            assert scores == sorted(scores, reverse=True)
            self.check_hits(hits, self.missing(self.read))
        whole = self.ranking(query, 10_000, matches)
        wanted = whole[:k]
        for index in self.indexes:
            hits = self.collection.search(query, index=index, k=k, where=where)
            assert len(hits) == len(wanted)
            scores = [hit.score for hit in hits]
            assert scores == pytest.approx([-score for score, *_ in wanted], abs=1e-6)
            if INDEXES[index] is None:
                assert [(h.doc_id, *h.passage) for h in hits] == [row[2:] for row in wanted]
            else:
                # A structure may give any of those that tie with the last.
                self.check_with_ties(hits, whole)
            self.check_hits(hits, self.missing(self.embedded))

    def check_hits(self, hits, missing):
        for rank, hit in enumerate(hits, start=1):
            document = self.known[hit.doc_id].document
            assert hit.rank == rank
            assert hit.text == document.text[slice(*hit.passage)]
            assert (hit.title, hit.metadata) == (document.title, document.metadata)
        said = [note for note in hits.notes if "not in index" in note]
        start = f"{missing} document{'s' * (missing != 1)} in"
        assert [note.startswith(start) for note in said] == [True] * bool(missing)

    def check_with_ties(self, hits, whole, within=1e-6):
        scores = {doc_id: -score for score, _, doc_id, *_ in whole}
        assert len({hit.doc_id for hit in hits}) == len(hits)
        assert [hit.score for hit in hits] == pytest.approx(
            [scores[hit.doc_id] for hit in hits], abs=within
        )

    @invariant()
    def documents_are_those_of_the_model(self):
        type(self).steps += 1
        if not hasattr(self, "collection"):
            return
        assert len(self.collection) == len(self.known)
        found = {document.doc_id: document for document in self.collection.documents()}
        assert found == {name: known.document for name, known in self.known.items()}


class SplitMachine(Machine):
    split = Words(3, overlap=1)
    steps = 0


def rounded(row):
    """Scores that are equal in single precision tie; ties are ordered by key."""
    score, key, *_ = row
    return np.float32(score), key


def to_four_decimals(row):
    """As BM25 gives its scores, so nearly that what differs here may tie there."""
    score, key, *_ = row
    return round(score, 4), key


SETTINGS = settings(
    max_examples=45,
    stateful_step_count=40,
    deadline=None,
    # Each step writes to the disk: to shrink a failure takes minutes. Add Phase.shrink to do so.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


# The second one encodes each batch but the first in a thread beside.
@pytest.mark.parametrize(("machine", "beside"), [(Machine, math.inf), (SplitMachine, 0.0)])
def test_a_collection_answers_like_a_dict_and_brute_force(
    machine, beside, monkeypatch, record_testsuite_property
):
    if os.access(MEMORY, os.W_OK):
        # What a disk does, the faults are for: here it would only wait.
        monkeypatch.setattr(tempfile, "tempdir", MEMORY)
    # Each batch is committed for itself, and the first are small: a build can be cut in two.
    monkeypatch.setattr("indexes.pipeline.builder.FIRST_BATCH", 2)
    monkeypatch.setattr("indexes.pipeline.builder.COMMIT_SECONDS", 0.0)
    # Nothing hangs on the clock, however slow the machine is at times: not how large a batch is,
    # where it is encoded, nor how many records of a source that breaks are taken before.
    monkeypatch.setattr("indexes.pipeline.builder.BATCH_SECONDS", 1e9)
    monkeypatch.setattr("indexes.pipeline.embedding_job.BESIDE_SECONDS", beside)
    monkeypatch.setattr("indexes.ingest.batches.COMMIT_SECONDS", math.inf)
    run_state_machine_as_test(machine, settings=SETTINGS)
    record_testsuite_property(f"steps of {machine.__name__}", machine.steps)


# -- what it found ------------------------------------------------------------------------------


@pytest.mark.parametrize("factory", ["HNSW8", "IVF2,Flat", "PQ2x2"])
def test_a_structure_of_which_nothing_is_left_hides_no_document(tmp_path, factory):
    with Collection.create(tmp_path / "c") as collection:
        collection.add(Document(str(n), f"wind sand{n}") for n in range(8))
        collection.build("flat", HashingEmbedder(WIDTH))
        collection.build("ann", vectors="flat", ann=factory)
        collection.add(Document(str(n), f"wind tide{n}") for n in range(8))
        assert len(collection.search("wind", index="ann", k=3)) == 0
        collection.build("flat")
        hits = collection.search("wind", index="ann", k=3)
        assert [hit.score for hit in hits] == [
            hit.score for hit in collection.search("wind", index="flat", k=3)
        ]
        collection.delete([str(n) for n in range(8)])
        assert len(collection.search("wind", index="ann", k=3)) == 0


def test_compact_goes_on_where_too_few_vectors_are_left_for_a_structure(tmp_path):
    with Collection.create(tmp_path / "c") as collection:
        collection.add(Document(str(n), f"wind sand{n}") for n in range(8))
        collection.build("flat", HashingEmbedder(WIDTH))
        collection.build("cells", vectors="flat", ann="IVF4,Flat")
        collection.delete([str(n) for n in range(6)])
        assert collection.compact().rows == 6
        assert collection.verify().ok
        assert {hit.doc_id for hit in collection.search("wind", index="cells")} == {"6", "7"}
