"""One corpus, many ways to embed it, the same queries through all of them.

    from retriever import Collection, ContextualEmbedder, StaticEmbedder, compare

    library = Collection.create("library")
    library.add("corpus.jsonl")
    library.build("glove", StaticEmbedder("glove-6b-50d"))
    library.build("minilm", ContextualEmbedder("all-MiniLM-L6-v2"))
    print(compare(library, ["glove", "minilm"], queries, qrels))

Names are imported when they are first used: `import retriever` loads no model library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexes.document import Document
    from indexes.errors import FailedTextsError, RetrieverError
    from retriever.collection import Collection
    from retriever.comparison.compare import compare
    from retriever.comparison.comparison import Comparison
    from retriever.embedders import (
        ContextualEmbedder,
        ElmoEmbedder,
        Embedder,
        HashingEmbedder,
        StaticEmbedder,
        load_embedder,
    )
    from retriever.formats import read_qrels, read_queries, write_qrels, write_queries
    from retriever.search.results import Hit, Hits, Run
    from retriever.search.retriever import Retriever
    from retriever.splitting import Sentences, Words
    from retriever.training.distillation import distill
    from retriever.training.word_vectors import train
    from retriever.word_senses import WordSenses, WordUses

__all__ = [
    "Collection",
    "Comparison",
    "ContextualEmbedder",
    "Document",
    "ElmoEmbedder",
    "Embedder",
    "FailedTextsError",
    "HashingEmbedder",
    "Hit",
    "Hits",
    "Retriever",
    "RetrieverError",
    "Run",
    "Sentences",
    "StaticEmbedder",
    "WordSenses",
    "WordUses",
    "Words",
    "compare",
    "distill",
    "load_embedder",
    "read_qrels",
    "read_queries",
    "train",
    "write_qrels",
    "write_queries",
]

__version__ = "0.1.0"

_HOMES = {
    "Collection": "retriever.collection",
    "Comparison": "retriever.comparison.comparison",
    "ContextualEmbedder": "retriever.embedders",
    "Document": "indexes.document",
    "ElmoEmbedder": "retriever.embedders",
    "Embedder": "retriever.embedders",
    "FailedTextsError": "indexes.errors",
    "HashingEmbedder": "retriever.embedders",
    "Hit": "retriever.search.retriever",
    "Hits": "retriever.search.retriever",
    "Retriever": "retriever.search.retriever",
    "RetrieverError": "indexes.errors",
    "Run": "retriever.search.retriever",
    "Sentences": "retriever.splitting",
    "StaticEmbedder": "retriever.embedders",
    "WordSenses": "retriever.word_senses",
    "WordUses": "retriever.word_senses",
    "Words": "retriever.splitting",
    "compare": "retriever.comparison.compare",
    "distill": "retriever.training.distillation",
    "load_embedder": "retriever.embedders",
    "read_qrels": "retriever.formats",
    "read_queries": "retriever.formats",
    "train": "retriever.training.word_vectors",
    "write_qrels": "retriever.formats",
    "write_queries": "retriever.formats",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'retriever' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
