"""Distillation of an embedder into a table of token vectors, on a collection's texts.

The student embeds a text as the sum of its tokens' vectors, fitted to point where the teacher's
vector of the text does. Training texts are sentences of the corpus, which the teacher encodes, and
the texts of an index, with the vectors stored there. The table starts from the teacher's vectors of
single tokens. The loss is the cosine to the teacher's vector plus the divergence of the two
rankings of some thousand index vectors. Adam updates only the rows of tokens in the batch.
"""

from retriever.training.distillation.distill import DistillReport, distill

__all__ = ["DistillReport", "distill"]
