"""The main job on real data: news stories that people judged, indexed two ways, asked the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from indexes.builder import Progress
from indexes.errors import CollectionError
from retriever.collection import Collection
from retriever.comparison import Comparison, compare
from retriever.datasets import Dataset, lee
from retriever.embedders import ContextualEmbedder, Embedder, StaticEmbedder
from retriever.formats import write_qrels, write_queries
from retriever.search import Hits

__all__ = ["Contrast", "Demo", "prepare"]

STATIC, CONTEXTUAL = "glove", "minilm"
MEASURE = "nDCG@10"
# For each stage of the demo: a label, giving something to report progress to.
Stage = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Contrast:
    """A query on which the two indexes differ: their values, their hits, what is right."""

    query_id: str
    text: str
    values: dict[str, float]
    hits: dict[str, Hits]
    relevant: dict[str, int]


@dataclass(frozen=True)
class Demo:
    """The finished demo: the folder's parts, the comparison, and where the two differ most."""

    library: Path
    queries: Path
    qrels: Path
    comparison: Comparison
    contrasts: Sequence[Contrast]


def prepare(folder: Path, stage: Stage) -> Demo:
    """Index the Lee corpus with averaged GloVe and with MiniLM, and ask both the same.

    Leaves `folder/library`, `folder/queries.jsonl` and `folder/qrels.tsv` behind. In a folder that
    an earlier call has filled, only what is missing is done.

    Raises:
        CollectionError: the folder holds something else, or cannot be written to.
        ModelNotAvailableError: a model of the extra `demo` is not installed.
    """
    _check_folder(folder)
    data = lee()
    with Collection.open_or_create(folder / "library") as collection:
        with stage("adding 350 news stories") as progress:
            collection.add(data.documents, progress=progress)
        for name, make in _embedders().items():
            with stage(f"loading {name}"):
                embedder = make()
            with stage(f"embedding with {name}") as progress:
                collection.build(name, embedder, progress=progress)
        write_queries(folder / "queries.jsonl", data.queries)
        write_qrels(folder / "qrels.tsv", data.qrels)
        with stage("asking both the same") as progress:
            comparison = compare(
                collection, [STATIC, CONTEXTUAL], data.queries, data.qrels, progress=progress
            )
            contrasts = list(_contrasts(collection, comparison, data))
    return Demo(
        library=folder / "library",
        queries=folder / "queries.jsonl",
        qrels=folder / "qrels.tsv",
        comparison=comparison,
        contrasts=contrasts,
    )


def _embedders() -> dict[str, Callable[[], Embedder]]:
    return {
        STATIC: lambda: StaticEmbedder("glove-6b-50d"),
        CONTEXTUAL: lambda: ContextualEmbedder("all-MiniLM-L6-v2"),
    }


def _check_folder(folder: Path) -> None:
    parts = {"library", "queries.jsonl", "qrels.tsv"}
    try:
        strangers = {path.name for path in folder.iterdir()} - parts if folder.exists() else set()
    except OSError as error:
        raise CollectionError(f"{folder} cannot be used: {error}. Choose a new folder.") from None
    if strangers:
        raise CollectionError(
            f"{folder}/ holds something else already ({min(strangers)}). "
            "Choose a new folder: retriever demo FOLDER"
        )


def _contrasts(collection: Collection, comparison: Comparison, data: Dataset) -> Iterator[Contrast]:
    """The two queries on which the contextual index gains most, and the one where it loses most.

    Only those on which the two differ at all.
    """
    static, contextual = (comparison.per_query[n][MEASURE] for n in (STATIC, CONTEXTUAL))
    gain = {query_id: contextual[query_id] - static[query_id] for query_id in contextual}
    order = sorted(gain, key=lambda query_id: (gain[query_id], query_id))
    for query_id in (*order[:-3:-1], order[0]):
        if gain[query_id]:
            yield Contrast(
                query_id=query_id,
                text=data.queries[query_id],
                values={STATIC: static[query_id], CONTEXTUAL: contextual[query_id]},
                hits={
                    name: _without(
                        collection.search(data.queries[query_id], index=name, k=6), query_id
                    )
                    for name in (STATIC, CONTEXTUAL)
                },
                relevant=data.qrels[query_id],
            )


def _without(hits: Hits, doc_id: str) -> Hits:
    """The hits without the query's own document, ranked anew."""
    others = [hit for hit in hits if hit.doc_id != doc_id]
    return Hits(tuple(replace(hit, rank=rank) for rank, hit in enumerate(others[:5], start=1)))
