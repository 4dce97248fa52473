"""Rerankers: models that read a query and a document together, and score how well they fit.

Importing this loads no model library.
"""
