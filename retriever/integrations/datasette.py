"""The catalog of a collection in Datasette, read-only, with searches as a function of SQL.

A collection's catalog is written by others meanwhile: it is opened with `mode=ro`, so that SQLite
reads the log beside it, and never as immutable, which would skip the latest commits. Each statement
sees one commit; none stays open, which would keep the space of older ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from indexes.errors import RetrieverError
from indexes.reader import CATALOG
from retriever.collection import Collection
from retriever.integrations.extras import extra

with extra("datasette"):
    import uvicorn
    from datasette import hookimpl
    from datasette.app import Datasette
    from datasette.plugins import pm

FUNCTION = "retriever_search"
SEARCH = f"""
select rank, doc_id, score, title, text, note from (
  select value ->> 'rank' as rank, value ->> 'doc_id' as doc_id, value ->> 'score' as score,
    value ->> 'title' as title, value ->> 'text' as text, value ->> 'note' as note
  from json_each({FUNCTION}(:query, :index, :k))
)
"""
DOCUMENTS = """
select documents.doc_id, texts.title, texts.text, documents.metadata
from documents join texts using (document)
where documents.doc_id = :doc_id or :doc_id = ''
order by documents.document
"""
# Tables that people ask for, with what they are.
TABLES = {
    "documents": "Ids and metadata, in the order in which they were added.",
    "texts": "Titles and texts; the row with the same number in `documents` has the id.",
    "indexes": "Named ways to search.",
    "embeddings": "Models whose vectors are kept.",
    "origins": "Sources that documents came from.",
}
# Those of the bookkeeping, which are listed apart.
HIDDEN = (
    *("_sqlite_migrations", "field_values", "fields", "images", "members", "passages", "readings"),
    *("shards", "sources", "sqlite_sequence", "stale", "state", "tombstones"),
)


def metadata(collection: Collection) -> dict[str, Any]:
    """Return Datasette's metadata for a catalog: what the tables are, and queries with a form."""
    names = ", ".join(collection.index_names()) or "none yet"
    tables = {name: {"description": text} for name, text in TABLES.items()}
    hidden = {name: {"hidden": True} for name in HIDDEN}
    queries = {
        "search": {
            "sql": SEARCH.strip(),
            "title": "Search",
            "description": f"Indexes: {names}. Left out, the only one or the only fusion answers; "
            "k is 10.",
            "params": ["query", "index", "k"],
        },
        "documents_with_texts": {
            "sql": DOCUMENTS.strip(),
            "title": "Documents with their texts",
            "description": "All, or the one with an id.",
            "params": ["doc_id"],
        },
    }
    return {
        "title": str(collection.path.name),
        "databases": {"catalog": {"tables": {**tables, **hidden}, "queries": queries}},
    }


@dataclass(frozen=True)
class SearchFunction:
    """A plugin of Datasette with the function `retriever_search(query, index, k)`: JSON of hits.

    SQLite would say only that a function failed, so that an error is a row with a note.
    """

    collection: Collection

    @property
    def __name__(self) -> str:
        """A name for Datasette's list of plugins, which it takes for modules."""
        return f"retriever-{id(self):x}"

    @hookimpl
    def prepare_connection(self, conn: Any) -> None:
        """Define the function on a new connection."""
        conn.create_function(FUNCTION, 3, self.search)

    def search(self, query: str, index: str, k: str | int) -> str:
        """Return the hits as a list in JSON, and then notes, each with null for the rest."""
        try:
            count = int(k or 10)
        except ValueError:
            return json.dumps([{"note": f"k is '{k}'; expected a whole number."}])
        try:
            hits = self.collection.search(query, index=index or None, k=count)
        except RetrieverError as error:
            return json.dumps([{"note": str(error)}])
        fields = ("rank", "doc_id", "score", "title", "text")
        records = [{name: getattr(hit, name) for name in fields} for hit in hits]
        return json.dumps([*records, *({"note": note} for note in hits.notes)])


def make_app(collection: Collection) -> Datasette:
    """Return Datasette over the catalog of an open collection."""
    pm.register(SearchFunction(collection))
    return Datasette(
        files=[str(collection.path / CATALOG)],
        metadata=metadata(collection),
        # A downloaded file would lack the log with the latest commits.
        settings={"allow_download": False, "default_page_size": 50},
    )


def serve(collection: Collection, host: str, port: int) -> None:
    """Serve the pages until interrupted."""
    uvicorn.run(make_app(collection).app(), host=host, port=port, log_level="warning")
