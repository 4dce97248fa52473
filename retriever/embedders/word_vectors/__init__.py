"""Files of word vectors (word2vec, GloVe, fastText): reading, converting, caching, subwords."""
