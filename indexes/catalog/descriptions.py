"""The metadata of passages, by key, for engines that evaluate filters themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from indexes.catalog.corpus import Corpus
from indexes.catalog.document_rows import check_document
from indexes.catalog.filtering import checked_rows
from indexes.catalog.sqlite.database import CHOSEN, Catalog, Row
from indexes.neighbors import Keys

AT_ONCE = 1_000


class Descriptions:
    """`vectors.engine.Described` over a catalog, inside one transaction or with its write lock.

    A stale key has the metadata of its document's present text, as for filters.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog, self._corpus = catalog, Corpus(catalog)
        self.content = self._corpus.content()

    def digests(self, keys: Keys) -> Keys:
        """Return a number for each of some keys, ascending, that changes with its metadata."""
        documents, digests = list[int](), list[bytes]()
        for number, _, _, metadata, _ in checked_rows(self._catalog):
            documents.append(number)
            digests.append(hashlib.blake2b(metadata.encode(), digest_size=8).digest())
        of_each = np.frombuffer(b"".join(digests), "<i8").astype(np.int64)
        return of_each[np.searchsorted(np.array(documents, np.int64), self._owners(keys))]

    def metadata(self, keys: Keys) -> Iterator[Mapping[str, Any]]:
        """Yield the metadata of each of some keys, ascending."""
        sql = f"""
            SELECT document, doc_id, checksum, metadata, seal FROM documents
            WHERE document IN {CHOSEN}
        """
        owners = self._owners(keys)
        for start in range(0, len(owners), AT_ONCE):
            some = owners[start : start + AT_ONCE].tolist()
            rows: dict[int, Row] = {}
            for row in self._catalog.rows(sql, [json.dumps(sorted(set(some)))]):
                check_document(self._catalog, row)
                rows[row[0]] = row
            yield from (json.loads(rows[number][3]) for number in some)

    def _owners(self, keys: Keys) -> Keys:
        """Return the document of each of some keys, ascending."""
        if not len(keys):
            return keys
        sql = """
            SELECT key, document FROM passages WHERE key BETWEEN ? AND ?
            UNION SELECT key, document FROM stale WHERE key BETWEEN ? AND ? ORDER BY key
        """
        rows = self._catalog.stream(sql, [int(keys[0]), int(keys[-1])] * 2)
        table = np.fromiter((number for row in rows for number in row), np.int64).reshape(-1, 2)
        places = np.searchsorted(table[:, 0], keys)
        if not np.array_equal(table[places.clip(max=len(table) - 1), 0], keys):
            raise self._catalog.damage("a passage is lost")
        owners: Keys = table[places, 1]
        return owners
