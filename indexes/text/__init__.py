"""How a text is read: its normal form, its words, and scripts that are written without spaces.

One reading for everything that compares words: static embeddings, BM25, word senses, splitting,
distillation and highlighting. `normalize` gives equal characters to texts that look equal;
`characters` decides what belongs to a word; `words` finds the words; `unspaced` treats scripts
such as Chinese and Thai, where words are not separated.
"""
