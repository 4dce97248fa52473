"""Which columns of a table hold what: given, known by name, or found by content."""
