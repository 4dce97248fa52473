"""Loading of vocabularies by path or name."""

from __future__ import annotations

import os

from retriever.embedders.hub import locate_words
from retriever.embedders.static.token_table import is_token_table
from retriever.embedders.static.token_vocabulary import load_tokens
from retriever.embedders.static.vocabulary import Vocabulary
from retriever.embedders.static.word_vocabulary import WordVocabulary
from retriever.embedders.word_vectors.vectors import load_words


def load_vocabulary(
    model: str | os.PathLike[str],
    *,
    trust_pickle: bool = False,
    phrases: bool | None = None,
    skip_bad_words: bool = False,
) -> Vocabulary:
    """Load word vectors or a token table by path or name (see `hub.py`).

    A folder with `modules.json` or `tokenizer.json` is a sentence model; see `token_table.py`.
    `phrases` determines whether entries such as `New_York` are phrases; None: if at least 1 % are.
    `skip_bad_words` leaves out words of a file that are not UTF-8. Errors are those of
    `StaticEmbedder`.
    """
    path = locate_words(model)
    if path.is_dir() and is_token_table(path):
        return load_tokens(path)
    words = load_words(path, trust_pickle=trust_pickle, skip_bad_words=skip_bad_words)
    return WordVocabulary(words, phrases=phrases)
