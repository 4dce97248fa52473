"""Filters on metadata: conditions, the names of fields, and SQL with the same meaning."""
