"""Systems and embedders of ours in MTEB, and a test collection of one's own as a task of MTEB.

task = retrieval_task("Support", library.documents(), queries, qrels)
mteb.evaluate(CollectionSearch("work", "bm25", lambda c: c.build("bm25", lexical=True)), task)
mteb.evaluate(EmbedderModel(StaticEmbedder("glove-6b-50d")), task)
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from indexes.document import Document
from indexes.errors import InputError
from indexes.neighbors import COSINE
from retriever.collection import Collection
from retriever.embedders import Embedder
from retriever.embedders.base import Matrix, similarity_of
from retriever.integrations.extras import extra

with extra("mteb"):
    from datasets import Dataset
    from mteb.abstasks import AbsTaskRetrieval
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta, ScoringFunction
    from mteb.types import PromptType

# The organization in the names of models, as MTEB writes them.
OWNER = "retriever"
SCORING = {COSINE: ScoringFunction.COSINE, "dot": ScoringFunction.DOT_PRODUCT}


class CollectionSearch:
    """A system for MTEB's retrieval tasks (its `SearchProtocol`): an index of a collection.

    Each corpus becomes a collection in the folder `work`, which is used again if it is there;
    `build` builds `index` in it, whatever that takes. A combination finds at most as many
    documents as its depth, where MTEB looks at 1,000.
    """

    def __init__(
        self, work: str | os.PathLike[str], index: str, build: Callable[[Collection], object]
    ) -> None:
        self._work, self._name, self._build = Path(work), index, build
        self._collection: Collection | None = None

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """The name of the index, as MTEB keeps it with the results."""
        return ModelMeta.create_empty({"name": f"{OWNER}/{self._name}"})

    def index(
        self,
        corpus: Iterable[Mapping[str, Any]],
        *,
        task_metadata: TaskMetadata,
        hf_split: str,
        hf_subset: str,
        **_: Any,
    ) -> None:
        """Add a corpus to its collection, and build the index."""
        self.close()
        folder = self._work / f"{task_metadata.name}-{hf_subset}-{hf_split}"
        self._collection = Collection.open_or_create(folder)
        self._collection.add(
            Document(row["id"], row["text"], row.get("title") or "") for row in corpus
        )
        self._build(self._collection)

    def search(
        self,
        queries: Iterable[Mapping[str, Any]],
        *,
        top_k: int,
        top_ranked: Mapping[str, list[str]] | None = None,
        **_: Any,
    ) -> dict[str, dict[str, float]]:
        """Return the scores of the `top_k` documents of each query, by the ids of both.

        Raises:
            InputError: nothing was indexed, or the task is one of reranking.
        """
        if top_ranked is not None:
            raise InputError("A collection searches a corpus: tasks of reranking are not for it.")
        if self._collection is None:
            raise InputError("Nothing was indexed yet: call index first, as mteb.evaluate does.")
        texts = {str(row["id"]): row["text"] for row in queries}
        found = self._collection.search_many(texts, index=self._name, k=top_k)
        return {name: {hit.doc_id: hit.score for hit in hits} for name, hits in found.items()}

    def close(self) -> None:
        """Close the collection of the last task."""
        if self._collection is not None:
            self._collection.close()


class EmbedderModel(AbsEncoder):
    """An embedder for any task of MTEB (its `EncoderProtocol`); one to be fitted must be.

    Raises:
        InputError: its vectors are compared by a distance, which MTEB does not have.
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        similarity = similarity_of(embedder)
        if similarity not in SCORING:
            raise InputError(
                f"Vectors of {embedder.name} are compared by '{similarity}'; MTEB compares by the "
                "cosine or the inner product."
            )
        name = embedder.name.replace("/", "-").replace(" ", "-")
        # Equal fingerprints are equal vectors: what a revision is for.
        revision = hashlib.sha256(embedder.fingerprint.encode()).hexdigest()[:12]
        self.mteb_model_meta = ModelMeta.create_empty(
            {
                "name": f"{OWNER}/{name}",
                "revision": revision,
                "embed_dim": embedder.dim,
                "similarity_fn_name": SCORING[similarity],
            }
        )

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        prompt_type: PromptType | None = None,
        **_: Any,
    ) -> Matrix:
        """Return the vectors of texts that come in batches, (n, dim): of queries or of others."""
        is_query = prompt_type == PromptType.query
        encode = self.embedder.encode_queries if is_query else self.embedder.encode_documents
        rows = [encode(list(batch["text"])) for batch in inputs]
        return np.concatenate([np.empty((0, self.embedder.dim), np.float32), *rows])


def retrieval_task(
    name: str,
    documents: Iterable[Document],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    *,
    language: str = "eng-Latn",
) -> AbsTaskRetrieval:
    """Return a test collection as a task of MTEB, which loads nothing from a hub.

    `name` and `language` (ISO 639-3 and a script) are those in MTEB's results; the split is `test`.
    """
    metadata = TaskMetadata(
        name=name,
        description=f"The test collection {name}.",
        type="Retrieval",
        category="t2t",
        eval_langs=[language],
        main_score="ndcg_at_10",
        dataset={"path": name, "revision": "1"},
    )
    split = RetrievalSplitData(
        corpus=Dataset.from_list(
            [{"id": one.doc_id, "title": one.title, "text": one.text} for one in documents]
        ),
        queries=Dataset.from_list([{"id": key, "text": text} for key, text in queries.items()]),
        relevant_docs={query: dict(judged) for query, judged in qrels.items()},
        top_ranked=None,
    )
    kind = type(name, (AbsTaskRetrieval,), {"metadata": metadata})
    task: AbsTaskRetrieval = kind()
    task.dataset, task.data_loaded = {"default": {"test": split}}, True
    return task
