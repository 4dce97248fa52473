"""Queries made from the corpus itself, and each system's search for the rest of their document."""
