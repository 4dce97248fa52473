"""Answering queries: hits with text and notes, filters, fusion, reranking and escalation.

A `Finder` encodes the queries, finds the nearest documents, and scores documents that another
finder has found. A fusion asks each part for `depth` documents whatever `k` is, so that more hits
only extend fewer; a cascade reranks exactly the first part's candidates by the second's stored
vectors; an escalation answers each query by one of its two parts. All parts of one answer see one
snapshot. Where documents are split, results are fused by document and shown by their passage in the
first part that has them.
"""
