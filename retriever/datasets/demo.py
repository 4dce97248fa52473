"""The main job on real data: news stories that people judged, indexed two ways, asked the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from indexes.errors import CollectionError
from indexes.progress import Progress
from retriever.collection import Collection
from retriever.comparison.compare import compare
from retriever.datasets.lee import lee
from retriever.embedders import ContextualEmbedder, Embedder, StaticEmbedder
from retriever.evaluation.results import Comparison
from retriever.formats import write_qrels, write_queries

WORDS, STATIC, CONTEXTUAL = "bm25", "glove", "minilm"
# For each stage of the demo: a label, giving something to report progress to.
Stage = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Demo:
    """The finished demo: the folder's parts, and the comparison."""

    library: Path
    queries: Path
    qrels: Path
    comparison: Comparison


def prepare(folder: Path, stage: Stage) -> Demo:
    """Index the Lee corpus by its words, with averaged GloVe and with MiniLM, and ask all the same.

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
        with stage("reading words for bm25") as progress:
            collection.build(WORDS, lexical=True, progress=progress)
        write_queries(folder / "queries.jsonl", data.queries)
        write_qrels(folder / "qrels.tsv", data.qrels)
        with stage("asking all the same") as progress:
            comparison = compare(
                collection,
                [WORDS, STATIC, CONTEXTUAL],
                data.queries,
                data.qrels,
                baseline=STATIC,
                progress=progress,
            )
    return Demo(
        library=folder / "library",
        queries=folder / "queries.jsonl",
        qrels=folder / "qrels.tsv",
        comparison=comparison,
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
