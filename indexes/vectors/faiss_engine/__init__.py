"""FAISS as an index engine: the only package that imports `faiss`."""
