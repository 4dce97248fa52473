"""Check that a model's tokenizer has a vocabulary, and the model a vector for each of its tokens.

transformers builds a tokenizer without its files too: every text is then unknown, or empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from indexes.errors import ModelNotAvailableError
from retriever.embedders.contextual.fingerprint import PROBE
from retriever.embedders.contextual.inspection import TASKS, embedding_rows, part_for
from retriever.embedders.validation import first_line

# Marks of a space: a token that has only these says nothing about a text.
SPACES = " ▁Ġ"
# Tokens to try where the probe has no known one: those of proteins, of scripts that it lacks.
TRIED = 1000


def check_vocabulary(model: Any) -> None:
    """Check the tokenizers of a `SentenceTransformer`, which may differ by task.

    Raises:
        ModelNotAvailableError: why one cannot be used, as a clause without a full stop.
    """
    parts = {id(part): part for part in (part_for(model, task) for task in TASKS)}
    for part in parts.values():
        known = part.tokenizer.get_vocab()
        if isinstance(known, Mapping):
            _check_rows(part, known)
        if hasattr(part.tokenizer, "all_special_ids"):
            _check_words(part.tokenizer, known)


def _check_rows(part: Any, known: Mapping[str, int]) -> None:
    """Check that each token that a text may have is in the table of token vectors."""
    rows = embedding_rows(part)
    if rows is None or max(known.values(), default=0) < rows:
        return
    # The mask covers padding, and no template has the token of masked language models.
    unread = {getattr(part.tokenizer, name, None) for name in ("pad_token", "mask_token")}
    beyond = [name for name, number in known.items() if number >= rows and name not in unread]
    if beyond:
        first = min(beyond, key=known.__getitem__)
        raise ModelNotAvailableError(
            f"its tokenizer has {max(known.values()) + 1} tokens, but the model has vectors for "
            f"{rows}: none for '{first}', number {known[first]}"
        )


def _check_words(tokenizer: Any, known: Mapping[str, int]) -> None:
    """Check that a tokenizer of transformers knows something in a text."""
    try:
        if _knows(tokenizer, PROBE):
            return
        special = {*tokenizer.all_special_tokens, *getattr(tokenizer, "added_tokens_encoder", ())}
        own = [name for name in known if name not in special and name.strip(SPACES)]
        if any(_knows(tokenizer, name.strip(SPACES)) for name in islice(own, TRIED)):
            return
    except Exception as error:  # the Rust library raises plain exceptions
        raise ModelNotAvailableError(f"its tokenizer reads no text: {first_line(error)}") from None
    raise ModelNotAvailableError(
        f"its tokenizer has {len(own)} tokens for text and knows none in any: its files (such as "
        "tokenizer.json, vocab.txt) are missing or are not those of this model"
    )


def _knows(tokenizer: Any, text: str) -> bool:
    """Return whether some token of a text is neither special, unknown nor a space."""
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    names = tokenizer.convert_ids_to_tokens(sorted(set(ids) - set(tokenizer.all_special_ids)))
    return any(name.strip(SPACES) for name in names)
