"""The command for queries that are made from a collection."""
