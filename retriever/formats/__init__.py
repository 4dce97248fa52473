"""Readers and writers for documents, queries, judgments, labels and runs."""

from retriever.formats.documents import DocumentSource, check_source, read_documents, read_records
from retriever.formats.files.kinds import is_image
from retriever.formats.fingerprints import (
    SourceFingerprint,
    is_missing,
    nothing_if_empty,
    source_name,
)
from retriever.formats.ids import read_ids
from retriever.formats.judgments import read_qrels, write_qrels
from retriever.formats.labels import LabelRow, write_label_file
from retriever.formats.queries import read_mixed_queries, read_queries, write_queries
from retriever.formats.row_documents import Reading
from retriever.formats.rows import is_database
from retriever.formats.runs import read_run, write_run

__all__ = [
    "DocumentSource",
    "LabelRow",
    "Reading",
    "SourceFingerprint",
    "check_source",
    "is_database",
    "is_image",
    "is_missing",
    "nothing_if_empty",
    "read_documents",
    "read_ids",
    "read_mixed_queries",
    "read_qrels",
    "read_queries",
    "read_records",
    "read_run",
    "source_name",
    "write_label_file",
    "write_qrels",
    "write_queries",
    "write_run",
]
