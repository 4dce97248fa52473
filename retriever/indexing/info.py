"""What `info` shows of a collection and its indexes: counts, sizes and times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexes.catalog.records import SIMILARITY, kind_of
from indexes.neighbors import COSINE
from retriever.embedders import TextReport
from retriever.embedders.contextual.autoselect import RuntimeChoice
from retriever.indexing.own_models import OwnModel

# Options of embedders that change no vector.
UNSEEN = {"batch_size", "device", "trust_pickle"}
# Embedder kinds that count as contextual, under the family's name.
CONTEXTUAL = "contextual"
CONTEXTUAL_KINDS = {"elmo": CONTEXTUAL}
# Learned sparse vectors are of a transformer, too, at least those of documents.
CONTEXTUAL_FAMILIES = (CONTEXTUAL, "sparse")


@dataclass(frozen=True)
class IndexInfo:
    """Kind, model, size, coverage and costs of one index.

    `kind` is `flat` (exact search), `ann`, `lexical` (BM25) or `combined`; `parts` are the indexes
    of a combination. Only `flat` and `ann` have vectors, of one width, made by a model; for the
    others `embedder` describes the index.

    `rows` passages can be found through it; `unfindable` ones have nothing to embed (an empty text,
    no known word); `missing` documents are not embedded yet, of which `stale` ones were edited and
    answer by their earlier text. A document that is not split is one passage. Sizes are in bytes,
    times in seconds; `embedding_seconds` has those of `fitting_seconds` too: the fit, and the
    choice of options. `max_length` is where the embedder truncates texts, in tokens; None if it
    does not. `vectors_shared_with` names the indexes over the same vectors. `building_memory` is
    how much more memory the process took at most while it fitted, embedded or built the structure,
    models that it held before left out; None if unknown.

    `embedding` is the name of its vectors: the first index over them. `queries_by` names the
    embedder of its queries if that is not the one of its vectors. `fitted_size` is the size of the
    embedder's fitted parameters; `fitted_documents` and `fitted_texts` count the documents and
    passages that it was fitted on, of the present `documents`; None if it was not fitted here.
    `refitting` says that a refit is under way or was interrupted. `case` says whether words are
    read as written or in lower case, if the embedder reports it. `unreachable` is the share of
    a static vocabulary's words that no text can have as one word. `chosen` are the options that
    were chosen on the corpus, if any. `similarity` is how queries are
    compared with the vectors: `cosine`, `dot` or `euclidean`.

    Of `rows` and `unfindable`, an index of texts alone leaves out all images; `only_images` are the
    documents that it therefore has nothing of.

    `own_models` are those of its documents and queries that were made from the collection, by
    `distill` or `train`: embedding does not count their making.

    `runtime` is how its model is computed on this machine; None if it was not measured here, or is
    no sentence model.

    `recall` is the share of the 10 nearest of sample queries that a structure finds, measured when
    it was built or tuned; None without one. `recall_asked` is the one that its search parameters
    were chosen for, None if they were not; a search then took `search_seconds` of processor time.
    `automatic` says that the structure is chosen by the number of vectors; `engine` is the server
    that holds it, if one does, and `filters` says what becomes of filters. `tail` of its `rows`
    came later and are searched exactly.
    """

    name: str
    kind: str
    factory: str = ""
    effort: Mapping[str, float] = field(default_factory=dict)
    embedder: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    dim: int = 0
    dtype: str = ""
    fingerprint: str = ""
    rows: int = 0
    missing: int = 0
    stale: int = 0
    unfindable: int = 0
    vectors_size: int = 0
    structure_size: int = 0
    fitting_seconds: float = 0.0
    embedding_seconds: float = 0.0
    indexing_seconds: float = 0.0
    max_length: int | None = None
    text: TextReport = field(default_factory=TextReport)
    vectors_shared_with: tuple[str, ...] = ()
    building_memory: int | None = None
    parts: tuple[str, ...] = ()
    embedding: str = ""
    queries_by: str = ""
    documents: int = 0
    fitted_size: int = 0
    fitted_documents: int | None = None
    fitted_texts: int | None = None
    refitting: bool = False
    case: str = ""
    chosen: str = ""
    unreachable: float | None = None
    similarity: str = ""
    recall: float | None = None
    recall_asked: float | None = None
    search_seconds: float | None = None
    automatic: bool = False
    engine: str = ""
    filters: str = ""
    tail: int = 0
    only_images: int = 0
    own_models: tuple[OwnModel, ...] = ()
    runtime: RuntimeChoice | None = None

    @property
    def description(self) -> str:
        """The embedder of documents and queries, for display."""
        if not self.queries_by:
            return ", ".join([self.embedder, *self._shown_options()])
        return f"{self.embedding} vectors, queries by {self.queries_by}"

    @property
    def family(self) -> str:
        """`static`, `contextual`, `hashing` and so on; of an index without vectors, its kind."""
        if not kind_of(self.kind).has_vectors:
            return self.kind
        kind = self.embedder.partition(":")[0]
        return CONTEXTUAL_KINDS.get(kind, kind)

    def _shown_options(self) -> list[str]:
        """Return the options that affect results and are not at their defaults."""
        if not kind_of(self.kind).has_vectors:
            return []
        defaults = {"weighting": "mean", "precision": "float32", "dim": self.dim}
        shown = [
            name if value is True else str(value) if name == "weighting" else f"{name} {value}"
            for name, value in self.options.items()
            if name not in UNSEEN | {SIMILARITY} and defaults.get(name) != value
        ]
        # Declared by the model or chosen; the cosine goes without saying unless it was chosen.
        if self.similarity != COSINE or self.options.get(SIMILARITY) == COSINE:
            shown.append(f"similarity {self.similarity}")
        return shown


@dataclass(frozen=True)
class CollectionInfo:
    """Counts and sizes of a collection; `catalog_size` is in bytes and includes every text.

    `images` documents have an image; `images_size` are the bytes of those that were copied.
    `split` describes how documents are cut into `passages`; empty if they are not. `fields` are the
    indexed metadata fields. `notes` say what is wrong with its state.
    """

    path: Path
    documents: int
    passages: int
    split: str
    fields: tuple[str, ...]
    catalog_size: int
    indexes: tuple[IndexInfo, ...]
    images: int = 0
    images_size: int = 0
    notes: tuple[str, ...] = ()
