"""Combinations of finders: fusion of several, reranking (cascades), and escalation."""
