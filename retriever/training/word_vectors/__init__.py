"""Training of word vectors on a collection's own texts: word2vec, fastText and GloVe."""

from retriever.training.word_vectors.report import TrainReport
from retriever.training.word_vectors.trainer import train

__all__ = ["TrainReport", "train"]
