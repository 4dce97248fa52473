"""What is on disk: documents, passages, vectors and indexes, all under integer keys.

This package knows transactions, checksums and locks. It does not know models, query text, quality
measures or a terminal: `retriever` does, and imports this package. `indexes.store.Store` is the
entry point.
"""
