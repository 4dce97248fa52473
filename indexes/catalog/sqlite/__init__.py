"""The SQLite file of a catalog: its schema, transactions and connections, also across a fork."""
