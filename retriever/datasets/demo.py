"""The demo: a comparison of three indexes on news stories with human judgments."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from indexes.errors import CollectionError
from indexes.progress import Progress
from retriever.collection import Collection
from retriever.comparison.compare import compare
from retriever.comparison.comparison import Comparison
from retriever.datasets.lee import lee
from retriever.embedders import ContextualEmbedder, Embedder, StaticEmbedder
from retriever.formats import write_qrels, write_queries

WORDS, STATIC, CONTEXTUAL = "bm25", "glove", "minilm"
PARTS = ("library", "queries.jsonl", "qrels.tsv")
# Called with the label of each stage; the context gives its progress callback.
Stage = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Demo:
    """The result of the demo: the paths it wrote, and the comparison."""

    library: Path
    queries: Path
    qrels: Path
    comparison: Comparison


def prepare(folder: Path, stage: Stage) -> Demo:
    """Index the Lee corpus with BM25, averaged GloVe vectors and MiniLM, and compare the indexes.

    Writes `folder/library`, `folder/queries.jsonl` and `folder/qrels.tsv`. In a folder of an
    earlier call, only what is missing is done; a folder with other files is refused.
    """
    _check_folder(folder)
    library, queries, qrels = (folder / part for part in PARTS)
    data = lee()
    with Collection.open_or_create(library) as collection:
        with stage("adding 350 news stories") as progress:
            collection.add(data.documents, progress=progress)
        # Before the long work, which would be lost if they cannot be written.
        write_queries(queries, data.queries)
        write_qrels(qrels, data.qrels)
        for name, embedder_class, model in (
            (STATIC, StaticEmbedder, "glove-6b-50d"),
            (CONTEXTUAL, ContextualEmbedder, "all-MiniLM-L6-v2"),
        ):
            with stage(f"loading {name}"):
                embedder: Embedder = embedder_class(model)
            with stage(f"embedding with {name}") as progress:
                collection.build(name, embedder, progress=progress)
        with stage("building bm25") as progress:
            collection.build(WORDS, lexical=True, progress=progress)
        with stage("comparing the indexes") as progress:
            comparison = compare(
                collection,
                [WORDS, STATIC, CONTEXTUAL],
                data.queries,
                data.qrels,
                baseline=STATIC,
                drop_self=True,
                progress=progress,
            )
    return Demo(library, queries, qrels, comparison)


def _check_folder(folder: Path) -> None:
    try:
        found = folder.iterdir() if folder.exists() else ()
        others = {path.name for path in found} - {*PARTS}
    except OSError as error:
        raise CollectionError(f"{folder} cannot be used: {error}. Choose a new folder.") from None
    if others:
        raise CollectionError(
            f"{folder}/ already has other files ({min(others)}). "
            "Choose a new folder: retriever demo FOLDER"
        )
