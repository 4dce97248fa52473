"""JSON-ready records of results: what `--json` prints, made by pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import TYPE_CHECKING, Any

from indexes.errors import shown

if TYPE_CHECKING:
    from indexes.document import Document
    from indexes.errors import FailedText
    from indexes.images import Image
    from indexes.ingest.upsert import Added
    from indexes.maintenance.compact import CompactReport
    from indexes.maintenance.repair import RepairReport
    from indexes.maintenance.verify import Problem, VerifyReport
    from retriever.embedders.contextual.autoselect import RuntimeChoice
    from retriever.indexing.info import CollectionInfo
    from retriever.indexing.reports import BuildReport, TuneReport
    from retriever.search.results import Hits
    from retriever.training.word_vectors import TrainReport
    from retriever.updates import BuildAllReport, UpdateReport
    from retriever.word_senses import WordSenses, WordUses

Record = dict[str, Any]
# What a record of a hit has of it, beside its image.
HIT_FIELDS = ("rank", "doc_id", "score", "text", "title", "metadata", "passage", "stale")


def document_record(document: Document) -> Record:
    """Return a document with its metadata, and the place of its image if it has one."""
    return {
        "doc_id": document.doc_id,
        "title": document.title,
        "text": document.text,
        "metadata": dict(document.metadata),
        **_image(document.image),
    }


def added_record(added: Added, documents: int) -> Record:
    """Return the counts of an `add` and the number of documents in the collection."""
    return {
        "new": added.new,
        "changed": added.changed,
        "unchanged": added.unchanged,
        "removed": added.removed,
        "skipped": added.skipped_total,
        "documents": documents,
    }


def update_record(report: UpdateReport, documents: int) -> Record:
    """Return the counts of an `update`, the first skipped records, and what each index did."""
    return {
        "ok": report.ok,
        **added_record(report.added, documents),
        "kept": report.added.kept,
        "bad": [str(record) for record in report.added.skipped],
        **build_all_record(report.built),
    }


def build_all_record(built: BuildAllReport) -> Record:
    """Return the report of each index, and why others could not be built."""
    return {
        "indexes": [build_record(one) for one in built.indexes],
        "failures": [
            {"name": one.name, "why": one.why, "failed": [asdict(text) for text in one.failed]}
            for one in built.failures
        ],
    }


def hit_records(query_id: str, text: str, index: str, hits: Hits) -> Iterator[Record]:
    """Yield one record per hit of a query; if there are none, one with the notes.

    An empty `query_id` is left out.
    """
    query = {"query_id": query_id, "query": text} if query_id else {"query": text}
    for hit in hits:
        fields = {name: getattr(hit, name) for name in HIT_FIELDS}
        fields["metadata"] = dict(hit.metadata)
        yield {**query, "index": index, **fields, **_image(hit.image)}
    if not hits:
        yield {**query, "index": index, "hits": 0, "notes": hits.notes}


def comparison_record(answers: Mapping[str, Hits], k: int) -> Record:
    """Return which indexes found which documents of one query's top `k`, and how much they agree.

    `found_by` groups the documents by the indexes that found them, those of most indexes first;
    `agreement` has each pair of indexes with the overlap and rank-biased overlap of their hits.
    """
    from retriever.evaluation.measures import overlap
    from retriever.evaluation.rank_biased_overlap import rank_biased_overlap
    from retriever.report.answers import found_by

    ranks = {name: {hit.doc_id: hit.rank for hit in hits} for name, hits in answers.items()}
    documents = list(dict.fromkeys(doc_id for found in ranks.values() for doc_id in found))
    groups = found_by(ranks, documents)
    runs = {name: {"": [(hit.doc_id, hit.score) for hit in hits]} for name, hits in answers.items()}
    return {
        "found_by": [{"indexes": list(by), "doc_ids": ids} for by, ids in groups.items()],
        "ranks": ranks,
        "agreement": [
            {
                "indexes": [a, b],
                "overlap": overlap(runs[a], runs[b], k),
                "rank_biased_overlap": rank_biased_overlap(list(ranks[a]), list(ranks[b])),
            }
            for a, b in combinations(answers, 2)
        ],
    }


def info_record(info: CollectionInfo, place: str) -> Record:
    """Return the documents and indexes of a collection, which is called `place`."""
    return asdict(info) | {"path": place}


def _image(image: Image | None) -> Record:
    """Return the place of an image; nothing without one."""
    return {"image": image.path and str(image.path)} if image else {}


def build_record(report: BuildReport, failed: Sequence[FailedText] = ()) -> Record:
    """Return a build report with the texts that could not be embedded."""
    return {**asdict(report), "failed": [asdict(text) for text in failed]}


def runtime_record(name: str, choice: RuntimeChoice) -> Record:
    """Return the runtimes of an index's model, with what was measured."""
    return {"index": name, **asdict(choice)}


def tune_record(report: TuneReport) -> Record:
    """Return what was chosen for a structure, with its recall at each depth."""
    return asdict(report)


def train_record(report: TrainReport) -> Record:
    """Return a training report with its speed."""
    return {
        **asdict(report),
        "path": shown(report.path),
        "words_per_second": report.words_per_second,
    }


def sense_records(found: WordSenses | WordUses) -> Iterator[Record]:
    """Yield a record of the query and what was found, then one per neighbor, sense or use."""
    from retriever.word_senses import WordUses

    query = {"word": found.word, "index": found.index, "static_index": found.static}
    if isinstance(found, WordUses):
        query["in"] = found.text
        yield {**query, "found": asdict(found.found), "notes": found.notes}
        for use in found.uses:
            yield {**query, **asdict(use)}
        return
    silhouette = {"senses": len(found.senses), "silhouette": found.silhouette}
    yield {**query, "found": asdict(found.found), **silhouette, "notes": found.notes}
    for rank, one in enumerate(found.neighbors, start=1):
        yield {**query, "rank": rank, "neighbor": one.word, "cosine": one.cosine}
    for sense in found.senses:
        fields = asdict(sense)
        yield {**query, "sense": fields.pop("number"), **fields}


def verify_record(checked: VerifyReport) -> Record:
    """Return the result of `verify`: counts, problems and leftover files."""
    return {
        "ok": checked.ok,
        "documents": checked.documents,
        "passages": checked.passages,
        "vectors": checked.vectors,
        "files": checked.files,
        "problems": _problems(checked.problems),
        "leftovers": [shown(path) for path in checked.leftovers],
    }


def repair_record(repaired: RepairReport) -> Record:
    """Return the result of `repair`: what was done and which problems are left."""
    return {"ok": repaired.ok, "done": repaired.done, "left": _problems(repaired.left)}


def compact_record(compacted: CompactReport) -> Record:
    """Return the result of `compact`: dropped vectors, freed bytes, indexes that became exact."""
    return {"vectors": compacted.rows, "freed": compacted.freed, "exact": compacted.exact}


def _problems(problems: Sequence[Problem]) -> list[dict[str, str]]:
    return [{"what": problem.what, "cure": problem.cure} for problem in problems]
