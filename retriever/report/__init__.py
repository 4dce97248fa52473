"""Comparisons, hits and collections, drawn for people."""
