"""The operations that a fault interrupts: each with the collection that it is run on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import indexes.ingest.batches
import indexes.lexical.segments
import indexes.pipeline.ann_builder
import indexes.pipeline.builder
import indexes.pipeline.structure_parts
import indexes.vectors.approximate
import retriever.indexing.workers
from indexes.pipeline.executors.inline import InlineExecutor
from retriever import Collection, Document, HashingEmbedder
from retriever.embedders.base import Matrix
from tests.support.models.fittable import Rare
from tests.support.models.pictures import picture
from tests.support.toy import Terms

EMBEDDER, OTHER = HashingEmbedder(16), HashingEmbedder(8)
# Its vectors depend on the corpus: it is fitted on that when an index is built.
RARE = Rare(words=("cat", "dog", "sea", "night", "road", "fish"))
TERMS = Terms(RARE.words)
QUERIES = ["cat and dog", "the sea at night", "an old road home", "fish"]
TEXTS = {
    "cat": "A cat sleeps on the mat.",
    "dog": "A dog runs after the cat.",
    "sea": "The sea is dark at night.",
    "none": "!?",  # nothing to embed
    "road": "The old road leads home.",
    "fish": "A fish swims in the sea.",
    "star": "A star stands over the sea at night.",
}
# Two documents share the copy of one image.
RED, BLUE = picture((255, 0, 0)), picture((0, 0, 255))
IMAGES = {"fish": RED, "road": RED}
BASE = [
    Document(name, text, metadata={"kind": "old"}, image=IMAGES.get(name))
    for name, text in TEXTS.items()
]
NEW = [
    Document("owl", "An owl hunts at night.", "Birds", {"kind": "new"}),
    Document("home", "There is no road but the road home.", metadata={"kind": "new"}),
    Document("mat", "The mat and the cat.", metadata={"kind": "new"}),
    Document("boat", "An old boat on the sea.", metadata={"kind": "new"}),
]
EDITED = [
    Document("cat", "A cat sleeps on the old road.", metadata={"kind": "old"}),  # new text
    Document("sea", TEXTS["sea"], metadata={"kind": "new"}),  # new metadata
    Document("dog", TEXTS["dog"], metadata={"kind": "old"}),  # as it was
    Document("none", "A word at last.", "Title", {"kind": "new"}),  # now there is something
    Document("road", TEXTS["road"], metadata={"kind": "old"}, image=BLUE),  # new image
    *NEW[:1],
]


def small() -> None:
    """Commit after every batch, and make batches small: many steps over few documents."""
    indexes.ingest.batches.BATCH_RECORDS = 3
    indexes.pipeline.builder.FIRST_BATCH = indexes.pipeline.builder.LARGEST_BATCH = 4
    indexes.pipeline.builder.COMMIT_SECONDS = 0.0
    retriever.indexing.workers.PASSAGES = 4
    # Workers also read texts for a fit, and fill structures.
    retriever.indexing.workers.FITTED_PASSAGES = 0
    indexes.pipeline.structure_parts.LEAST_NUMBERS = 0
    indexes.pipeline.structure_parts.PART_ROWS = 4
    InlineExecutor.is_elsewhere = True
    indexes.pipeline.ann_builder.TAIL_ROWS = indexes.pipeline.ann_builder.TAIL_SHARE = 0
    indexes.lexical.segments.SMALL_ROWS = 3
    indexes.vectors.approximate.QUERIES = 2


def query_vectors() -> list[tuple[int, Any]]:
    """Vectors of the queries by dimension."""
    return [(one.dim, one.encode_queries(QUERIES).tolist()) for one in (EMBEDDER, OTHER)]


def remember_queries(vectors: list[tuple[int, Any]]) -> None:
    """Encode the queries no more: every state asks the same."""
    known = {dim: np.array(rows, np.float32) for dim, rows in vectors}
    encode = HashingEmbedder.encode_queries

    def encode_queries(self: HashingEmbedder, texts: Sequence[str]) -> Matrix:
        return known[self.dim].copy() if list(texts) == QUERIES else encode(self, texts)

    HashingEmbedder.encode_queries = encode_queries  # type: ignore[method-assign]


@dataclass(frozen=True)
class Operation:
    """What is run, and how the collection is filled before (None: there is none).

    `run` also gets a folder for its sources.
    `takes_back`: when it fails before any work was kept, its first commit is undone.
    """

    prepare: Callable[[Collection], None] | None
    run: Callable[[Collection, Path], object]
    takes_back: bool = False


def _documents(collection: Collection) -> None:
    collection.index_fields("kind")
    collection.add(BASE)


def _indexed(collection: Collection) -> None:
    _documents(collection)
    collection.build("flat", EMBEDDER)
    collection.build("graph", vectors="flat", ann="HNSW8")
    collection.delete([])  # sweeps


def _behind(collection: Collection) -> None:
    """There are edits and new documents that no index has seen."""
    _indexed(collection)
    collection.add(EDITED)


def _edited(collection: Collection) -> None:
    """Earlier texts answer in one index; another has the edits already."""
    collection.add(BASE)
    collection.build("flat", EMBEDDER)
    collection.build("other", OTHER)
    collection.add(EDITED)
    collection.build("other")
    collection.delete([])  # sweeps


def _edit_again(collection: Collection, extra: Path) -> None:
    """Edit again what was edited, and delete one of these, before anything is embedded."""
    collection.add([Document("cat", "A cat leaves the old road."), Document("star", "A night.")])
    if not collection.unknown_ids(["none"]):
        collection.delete(["none"])


def _worn(collection: Collection) -> None:
    """Deleted passages are in every file of two embeddings, and a structure is out of date.

    In both, an earlier text answers.
    """
    _behind(collection)
    collection.build("flat")
    collection.build("other", OTHER)
    collection.delete(["fish", "owl"])
    collection.add([Document("star", "A night without a star.", metadata={"kind": "old"})])


def _two(collection: Collection) -> None:
    _indexed(collection)
    collection.build("other", OTHER, ann="HNSW8")
    collection.delete([])


def _add_file(collection: Collection, extra: Path) -> None:
    """Add texts with images that are copied: one that is there already, and two of a new one."""
    source = extra / "new.jsonl"
    if not source.exists():
        for name, color in (("red", RED), ("green", picture((0, 255, 0)))):
            (extra / f"{name}.png").write_bytes(color)
        lines = [
            {"id": d.doc_id, "title": d.title, "text": d.text, "metadata": d.metadata} for d in NEW
        ]
        for line, name in zip(lines[1:], ("red", "green", "green"), strict=True):
            line["image"] = f"{name}.png"
        source.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    collection.add(source, image="image", copy_images=True)


def _delete(collection: Collection, extra: Path) -> None:
    ids = ["cat", "fish", "none"]
    unknown = set(collection.unknown_ids(ids))
    collection.delete([doc_id for doc_id in ids if doc_id not in unknown])


def _drop(collection: Collection, extra: Path) -> None:
    if "other" in collection.index_names():
        collection.drop("other")


def _fused(collection: Collection) -> None:
    """Indexes with a combination of two."""
    _two(collection)
    collection.fuse("both", ["flat", "other"])


def _rename(collection: Collection, extra: Path) -> None:
    if "other" in collection.index_names():
        collection.rename("other", "another")


def _import(collection: Collection, extra: Path) -> None:
    """Build an index over the vectors of all but one document, made elsewhere."""
    documents = list(collection.documents())[1:]
    rows = EMBEDDER.encode_documents([document.text for document in documents])
    ids = [f"{one.doc_id}\t0\t{len(one.text)}" for one in documents]
    options = {"queries_by": EMBEDDER, "allow_missing": True}
    collection.build("given", from_vectors=(ids, rows), ann="HNSW8", **options)


def _copy(collection: Collection, extra: Path) -> None:
    """Copy the collection next to it; a copy that is there already has to be whole."""
    backup = collection.path.with_name("backup")
    if not backup.exists():
        collection.copy(backup)
    with Collection.open(backup) as copied:
        checked = copied.verify()
        if not checked.ok or copied.content_checksum() != collection.content_checksum():
            raise RuntimeError(f"The copy is not whole: {checked.problems}")


def _words_behind(collection: Collection) -> None:
    """BM25 alone, with edits and new documents that it has not read."""
    _documents(collection)
    collection.build("bm25", lexical=True)
    collection.delete([])  # sweeps
    collection.add(EDITED)


def _words_worn(collection: Collection) -> None:
    """BM25 alone, up to date."""
    _words_behind(collection)
    collection.build("bm25")
    collection.delete([])


def _terms_behind(collection: Collection) -> None:
    """Sparse vectors alone, with edits and new documents that they lack."""
    _documents(collection)
    collection.build("terms", TERMS)
    collection.delete([])  # sweeps
    collection.add(EDITED)


def _terms_worn(collection: Collection) -> None:
    """Sparse vectors alone, up to date."""
    _terms_behind(collection)
    collection.build("terms")
    collection.delete([])


def _wear_out_terms(collection: Collection, extra: Path) -> None:
    _delete(collection, extra)
    collection.compact()
    if "terms" in collection.index_names():
        collection.drop("terms")


def _few(collection: Collection) -> None:
    collection.add(BASE[:2])


def _fitted(collection: Collection) -> None:
    """Two indexes over vectors that were fitted on another corpus than there is now."""
    _few(collection)
    collection.build("flat", RARE)
    collection.build("graph", vectors="flat", ann="HNSW8")
    collection.delete([])  # sweeps
    collection.add(NEW[1:2])


def _fitted_in_cells(collection: Collection) -> None:
    """As `_fitted`, with a structure that workers can fill."""
    collection.add(BASE)
    collection.build("flat", RARE)
    collection.build("cells", vectors="flat", ann="IVF4,SQ8")
    collection.delete([])  # sweeps
    collection.add(NEW[1:2])


def _from_source(collection: Collection) -> None:
    """Two sources share a document; a third has none of its own."""
    collection.index_fields("kind")
    collection.add(BASE, source="crm")
    collection.add(BASE[2:4], source="web")


def _sync(collection: Collection, extra: Path) -> None:
    """Sync three sources: edits, new documents, and some that are gone from one, or from both."""
    table = extra / "table.jsonl"
    if not table.exists():
        table.write_text('{"id": "elk", "text": "An elk at the old road."}\n')
    added = collection.add([*EDITED, *NEW[1:]], sync=True, source="crm", skip_bad=True)
    assert added.skipped_total == 0
    # Of two contents of a document, those of the source that was known first count.
    collection.add(EDITED[3:4], sync=True, source="web")
    collection.add(table, sync=True)


def _indexed_from_source(collection: Collection) -> None:
    collection.add(BASE[:4], source="crm")
    collection.add(BASE[2:5], source="web")
    collection.build("flat", EMBEDDER)
    collection.build("bm25", lexical=True)
    collection.delete([])  # sweeps


def _update(collection: Collection, extra: Path) -> None:
    """Update from a source: edits, a new document, and some that are gone."""
    report = collection.update([*EDITED[:2], *NEW[1:2]], source="crm")
    assert report.ok, report


def _wear_out_words(collection: Collection, extra: Path) -> None:
    _delete(collection, extra)
    collection.compact()
    if "bm25" in collection.index_names():
        collection.drop("bm25")


def _tunable(collection: Collection) -> None:
    """A structure that visits one of its cells."""
    _documents(collection)
    collection.build("cells", EMBEDDER, ann="IVF4,Flat", recall=0.01)
    collection.delete([])  # sweeps


def _tune(collection: Collection, extra: Path) -> None:
    collection.tune("cells", recall=1.0)


OPERATIONS = {
    "create": Operation(None, lambda c, extra: None),
    "add": Operation(_documents, _add_file),
    "edit": Operation(_indexed, lambda c, extra: c.add(EDITED)),
    "edit-again": Operation(_edited, _edit_again),
    "build": Operation(
        _documents, lambda c, extra: c.build("graph", EMBEDDER, ann="HNSW8"), takes_back=True
    ),
    "rebuild": Operation(_behind, lambda c, extra: c.build("graph")),
    "words": Operation(_words_behind, lambda c, extra: c.build("bm25")),
    "words-worn": Operation(_words_worn, _wear_out_words),
    "terms": Operation(_terms_behind, lambda c, extra: c.build("terms", TERMS)),
    "terms-worn": Operation(_terms_worn, _wear_out_terms),
    "delete": Operation(_indexed, _delete),
    "delete-where": Operation(_indexed, lambda c, extra: c.delete(where={"kind": "old"})),
    "compact": Operation(_worn, lambda c, extra: c.compact()),
    "drop": Operation(_two, _drop),
    "rename": Operation(_fused, _rename),
    "copy": Operation(_behind, _copy),
    "import": Operation(_documents, _import, takes_back=True),
    "workers": Operation(_behind, lambda c, extra: c.build("flat", workers=1)),
    "fit": Operation(_few, lambda c, extra: c.build("flat", RARE), takes_back=True),
    "tune": Operation(_tunable, _tune),
    "sync": Operation(_from_source, _sync),
    "update": Operation(_indexed_from_source, _update),
    "workers-refit": Operation(
        _fitted_in_cells, lambda c, extra: c.build("flat", RARE, refit=True, workers=1)
    ),
    "refit": Operation(_fitted, lambda c, extra: c.build("flat", RARE, refit=True)),
}


def state_of(collection: Collection) -> Any:
    """All that a user can see: documents, indexes, and what each finds, to the last score."""
    documents = [
        [d.doc_id, d.title, d.text, d.metadata, d.image.read().hex() if d.image else ""]
        for d in collection.documents()
    ]
    for index in collection.info().indexes:
        own = {"custom:Rare": RARE, "custom:Terms": TERMS}.get(index.embedder)
        if own is not None:
            collection.use(index.name, own)
    answers = {
        f"{name} {where}": [
            [[[hit.doc_id, hit.score, hit.text, hit.stale] for hit in hits], hits.notes]
            for hits in collection.search_many(QUERIES, index=name, k=20, where=where)
        ]
        for name in collection.index_names()
        for where in (None, {"kind": "new"})
    }
    # Notes name the folder.
    return json.loads(
        json.dumps([documents, answers, collection.sources()]).replace(
            str(collection.path), "library"
        )
    )
