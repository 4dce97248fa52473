"""Compare static and contextual embeddings on one corpus, with the same queries.

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
import logging
from typing import TYPE_CHECKING, Any

_NAMES = {
    "indexes.document": ["Document"],
    "indexes.errors": ["FailedTextsError", "RetrieverError"],
    "retriever.collection": ["Collection"],
    "retriever.comparison.compare": ["compare"],
    "retriever.comparison.comparison": ["Comparison"],
    "retriever.training.distillation": ["distill"],
    "retriever.embedders": [
        *("ContextualEmbedder", "ElmoEmbedder", "Embedder", "HashingEmbedder"),
        *("SparseEmbedder", "StaticEmbedder", "load_embedder"),
    ],
    "retriever.formats": ["read_qrels", "read_queries", "write_qrels", "write_queries"],
    "retriever.known_items.items": ["MadeQueries"],
    "retriever.known_items.making": ["make_queries"],
    "retriever.search.results": ["Hit", "Hits", "Run"],
    "retriever.search.retriever": ["Retriever"],
    "retriever.splitting": ["Sentences", "Words"],
    "retriever.training.word_vectors": ["train"],
    "retriever.word_senses": ["WordSenses", "WordUses"],
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_MODULES)
__version__ = "0.1.0"

# Without a handler of the program, nothing is logged.
logging.getLogger(__name__).addHandler(logging.NullHandler())

if TYPE_CHECKING:  # What `__getattr__` does, for type checkers: these do not compute the table.
    from indexes.document import Document as Document
    from indexes.errors import FailedTextsError as FailedTextsError
    from indexes.errors import RetrieverError as RetrieverError
    from retriever.collection import Collection as Collection
    from retriever.comparison.compare import compare as compare
    from retriever.comparison.comparison import Comparison as Comparison
    from retriever.embedders import ContextualEmbedder as ContextualEmbedder
    from retriever.embedders import ElmoEmbedder as ElmoEmbedder
    from retriever.embedders import Embedder as Embedder
    from retriever.embedders import HashingEmbedder as HashingEmbedder
    from retriever.embedders import SparseEmbedder as SparseEmbedder
    from retriever.embedders import StaticEmbedder as StaticEmbedder
    from retriever.embedders import load_embedder as load_embedder
    from retriever.formats import read_qrels as read_qrels
    from retriever.formats import read_queries as read_queries
    from retriever.formats import write_qrels as write_qrels
    from retriever.formats import write_queries as write_queries
    from retriever.known_items.items import MadeQueries as MadeQueries
    from retriever.known_items.making import make_queries as make_queries
    from retriever.search.results import Hit as Hit
    from retriever.search.results import Hits as Hits
    from retriever.search.results import Run as Run
    from retriever.search.retriever import Retriever as Retriever
    from retriever.splitting import Sentences as Sentences
    from retriever.splitting import Words as Words
    from retriever.training.distillation import distill as distill
    from retriever.training.word_vectors import train as train
    from retriever.word_senses import WordSenses as WordSenses
    from retriever.word_senses import WordUses as WordUses


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'retriever' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
