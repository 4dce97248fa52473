"""What is on disk: documents, passages, vectors and search structures, all under integer keys.

This room knows transactions, checksums and locks. It has never heard of a model, of a query's
meaning, of a quality measure or of a terminal: `retriever` knows those, and imports this room,
never the other way round. `indexes.store.Store` is its front door.
"""
