"""Thumbnails of the page: of queries that are images, and of documents that have one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from indexes.errors import pluralize
from indexes.images import Image
from indexes.threads import threads
from retriever.evaluation.results import ComparisonResults
from retriever.formatting import alt_text
from retriever.images.check import NO_PILLOW, has_pillow
from retriever.images.thumbnails import thumbnail_if_any

# Most images on a page: 2 to 4 kB each.
MOST = 2_000
# For JSON: the alternative text, then URI, width and height if the image can be shown.
Shown = list[str | int]


@dataclass(frozen=True)
class Thumbnails:
    """Images by query id and by document id, and notes on those that are not shown."""

    queries: Mapping[str, Shown] = field(default_factory=dict)
    documents: Mapping[str, Shown] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, comparison: ComparisonResults, doc_ids: Iterable[str]) -> Thumbnails:
        """Make the first `MOST`, of queries and then of documents in the order given."""
        known = comparison.documents
        queries = [(q.query_id, q.text, q.image) for q in comparison.queries.values() if q.image]
        documents = [
            (doc_id, alt_text(known[doc_id].title, known[doc_id].text, doc_id), image)
            for doc_id in doc_ids
            if doc_id in known and (image := known[doc_id].image)
        ]
        total, wanted = len(queries) + len(documents), [*queries, *documents][:MOST]
        with ThreadPoolExecutor(threads(), "thumbnails") as pool:
            made = list(pool.map(_shown, (alt for _, alt, _ in wanted), (i for *_, i in wanted)))
        pairs = [(name, shown) for (name, *_), shown in zip(wanted, made, strict=True)]
        broken = sum(len(shown) == 1 for shown in made)
        return cls(
            queries=dict(pairs[: len(queries)]),
            documents=dict(pairs[len(queries) :]),
            notes=tuple(_notes(broken, total)),
        )


def _shown(alt: str, image: Image) -> Shown:
    small = thumbnail_if_any(image)
    return [alt] if small is None else [alt, small.uri, small.width, small.height]


def _notes(broken: int, total: int) -> Iterable[str]:
    if broken and not has_pillow():
        yield f"No image is shown. {NO_PILLOW}."
    elif broken:
        images = pluralize(broken, "image is", "images are")
        yield f"{images} missing, changed or damaged, and not shown. `retriever verify` names them."
    if total > MOST:
        yield f"The page shows {MOST:,} of {total:,} images, in the order of the queries."
