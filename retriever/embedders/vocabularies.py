"""From a path or a name to a vocabulary: word vectors, or the token table of a sentence model."""

from __future__ import annotations

import os

from retriever.embedders.hub import locate_words
from retriever.embedders.static.token_table import is_token_table
from retriever.embedders.static.token_vocabulary import load_tokens
from retriever.embedders.static.vocabulary import Vocabulary
from retriever.embedders.static.word_vocabulary import WordVocabulary
from retriever.embedders.word_vectors.vectors import load_words


def load_vocabulary(
    model: str | os.PathLike[str], *, trust_pickle: bool = False, phrases: bool | None = None
) -> Vocabulary:
    """The vocabulary that a path or a name means (see `locate.py`): word vectors or a token table.

    A folder with `modules.json` or `tokenizer.json` is a sentence model's; see `tokentables.py`.
    `phrases` says whether entries such as `New_York` are taken for phrases; None: where at least
    one entry in a hundred is one.

    Raises:
        FileFormatError: a file that holds neither, a damaged one, or a model of other parts.
        InputError: a pickle without `trust_pickle`.
        ModelNotAvailableError: no such path or name.
    """
    path = locate_words(model)
    if path.is_dir() and is_token_table(path):
        return load_tokens(path)
    words = load_words(path, trust_pickle=trust_pickle)
    return WordVocabulary(words, phrases=phrases)
