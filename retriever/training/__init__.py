"""Word vectors trained on a collection's own texts: word2vec, fastText and GloVe."""

from retriever.training.outcome import TrainReport
from retriever.training.trainer import train

__all__ = ["TrainReport", "train"]
