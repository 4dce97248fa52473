"""Approximate search against hnswlib, usearch and FAISS's HNSW, side by side."""
