"""Models trained on a collection's own texts: word vectors, and distilled token tables."""
