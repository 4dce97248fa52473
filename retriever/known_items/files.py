"""Files of made queries: JSON lines with a query, its document, and what is left of that."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indexes.errors import InputError
from retriever.collection import Collection
from retriever.document_queries.rest import rest_of
from retriever.evaluation.significance import SEED
from retriever.formats.jsonl import read_jsonl
from retriever.formats.lines import take_records, text_fault
from retriever.formats.sources import locate, open_source
from retriever.formats.writing import atomic_writer, check_replaceable
from retriever.known_items.items import OWN, KnownItem, MadeQueries
from retriever.known_items.making import COUNT, make_queries

# The fields of a line, and what one that may be left out then is.
DEFAULTS = {"_id": "", "text": "", "doc_id": "", "kind": OWN, "rest": ""}


def made_queries(what: str, collection: Collection, seed: int = SEED) -> MadeQueries:
    """Return as many queries as `300` says, or those of a file, `queries.jsonl`.

    Raises:
        InputError: neither a number nor a file, or as `make_queries` and `read_made`.
    """
    what = what.strip()
    if what.isdecimal():
        return make_queries(collection, int(what), seed=seed)
    if not Path(what).is_file():
        raise InputError(
            f"'{what}' is neither a number of queries to make nor a file of made queries. Give "
            f"--queries made:{COUNT}, or write a file: retriever queries {collection.path} -o FILE."
        )
    return read_made(what, collection)


def write_made(path: str | os.PathLike[str], made: MadeQueries, *, force: bool = False) -> None:
    """Write made queries as JSON lines, to read, to edit, or to compare by: `made:FILE`.

    Raises:
        InputError: the file cannot be written, or exists, perhaps edited, without `force`.
    """
    check_replaceable(Path(path), force=force)
    with atomic_writer(path) as file:
        for item in made.items_made:
            fields = {
                "_id": item.query_id,
                "text": item.text,
                "doc_id": item.doc_id,
                "kind": item.kind,
                "rest": item.rest,
            }
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")


def read_made(path: str | os.PathLike[str], collection: Collection) -> MadeQueries:
    """Return the queries of a file of JSON lines: those of `write_made`, or of a language model.

    Each line has `text` and `doc_id`, and may have `_id`, `kind`, and `rest`: what is left of the
    document. Without it, that is the document's text without the sentences that the query repeats.

    Raises:
        BadRecordsError: lines that are no such objects, an empty text or one of an unknown
            document, a repeated id; all of them together.
        InputError: the file cannot be read, or has no queries.
    """
    name, items = os.fspath(path), dict[str, KnownItem]()

    def take(fields: Mapping[str, Any]) -> str | None:
        if "doc_id" not in fields:
            return "no doc_id, which made queries have; give others without made:"
        given = {one: fields.get(one, default) for one, default in DEFAULTS.items()}
        given["_id"] = given["_id"] or f"{OWN}-{len(items) + 1}"
        for one, value in given.items():
            if not isinstance(value, str):
                return f"{one} is {type(value).__name__}; expected text"
            if one != "rest" and (fault := text_fault(one, value)):
                return fault
        if given["_id"] in items:
            return f"the id {given['_id']} occurs twice"
        known = next(iter(collection.documents_of([given["doc_id"]])), None)
        if known is None:
            return f"the collection has no document {given['doc_id']}"
        rest = given["rest"] if "rest" in fields else rest_of(known.text, given["text"])
        items[given["_id"]] = KnownItem(
            given["_id"], given["text"], given["doc_id"], rest, given["kind"]
        )
        return None

    with open_source(locate(name, "jsonl", {".jsonl": "jsonl"}, "jsonl")) as stream:
        take_records(read_jsonl(stream, name), take)
    return MadeQueries(tuple(items.values()))
