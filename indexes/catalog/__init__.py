"""The SQLite catalog: the commit point of a collection, and what its rows mean.

Every commit increments a *generation*. A reader searches and fetches text inside one read
transaction, and keeps its open files as long as the generation stays the same. When a writer
retires a file just before a reader opens it, the reader repeats its work on the state that is
committed by then.

Damage is found when it is met. Every document and passage row has a CRC-32 that is compared when
the row is read. The tables that name files, and the row of state, have one digest, compared once
per generation, so that a lost or moved row is found too. Filters rely on SQLite's own indexes:
their b-trees are checked before the first filter of an open collection (0.1 s per 100,000
documents, 0.2 s for a field without an index).

Metadata filters become SQL with bound parameters. Metadata, texts and the values of indexed fields
are separate tables, so that a filter reads small pages.

A thread that writes has two connections, so that what it reads meanwhile is committed. SQLite's
connections must not survive a fork: a thread that forks closes its idle ones first, and a child
that inherits others is refused.
"""
