"""Documents into the catalog, in batches of a few seconds.

Two seconds of records, 10,000 of them or 16 MB are collected first and then committed, so that no
transaction is open while the user's own source runs. A document is recognized by its id and the
checksum of its text: an interrupted `add` resumes whatever the order of its source. A file that was
added completely is recognized by its bytes as long as no document has changed since.

A changed document gets new keys. Its old keys become tombstones, which searches leave out: in each
index as soon as that has the new ones, until when the document answers by its old text.
"""
