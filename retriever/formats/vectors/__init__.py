"""Files of vectors with the ids that they belong to: NumPy, Parquet, and folders of both."""

from retriever.formats.vectors.passages import PassageId, shown_passage
from retriever.formats.vectors.reading import VectorFile, read_vectors

__all__ = ["PassageId", "VectorFile", "read_vectors", "shown_passage"]
