"""The student's tokenizer: its teacher's word pieces, or the words of the corpus.

One of the modules that import tokenizers: this one writes a `tokenizer.json`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from retriever.embedders.tokenization.subword_tokenizer import TextTokenizer

WORDS = 30_000
# A word of this frequency has enough training data for its own vector.
OFTEN = 20
PART = "##"
UNKNOWN = "[UNK]"


def student_tokenizer(
    teacher: str | None, texts: Sequence[str], *, often: int | None = OFTEN
) -> str:
    """Return a `tokenizer.json` of word pieces (Wu et al. 2016) without truncation.

    `teacher` is the teacher's `tokenizer.json`. If it has word pieces, as BERT's has, it is reused,
    with a new token for each word that occurs at least `often` times in `texts` and has several
    pieces. Otherwise, the tokens are the words that occur at least twice in `texts`, in lower case
    and without accents, and single characters for all other words.
    """
    parts: dict[str, Any] = json.loads(teacher) if teacher else {}
    if parts.get("model", {}).get("type") != "WordPiece":
        parts = json.loads(_of_words(texts))
    elif often is not None:
        _add_words(parts, texts, often)
    # A student reads complete texts without special tokens.
    parts.update(truncation=None, padding=None, post_processor=None)
    return json.dumps(parts, ensure_ascii=False)


def token_texts(tokenizer: str) -> list[str]:
    """Return the text of each token by its number; empty for special tokens."""
    parts = json.loads(tokenizer)
    prefix = parts["model"].get("continuing_subword_prefix", PART)
    added = parts.get("added_tokens") or []
    special = {token["content"] for token in added}
    vocabulary: dict[str, int] = parts["model"]["vocab"]
    # Added tokens may follow the vocabulary: they have rows, too.
    found = [""] * (1 + max((*vocabulary.values(), *(token["id"] for token in added))))
    for token, number in vocabulary.items():
        unused = token.startswith("[unused") and token.endswith("]")
        if token not in special and not unused and token != UNKNOWN:
            found[number] = token.removeprefix(prefix) or token
    return found


def bags_of(tokenizer: TextTokenizer, texts: Sequence[str]) -> Any:
    """Count the tokens of each text: sparse, (len(texts), vocabulary)."""
    from scipy.sparse import csr_array

    tokens, offsets = tokenizer.tokens(texts)
    ones = np.ones(len(tokens), np.float32)
    bags = csr_array((ones, tokens, offsets), shape=(len(texts), tokenizer.size))
    bags.sum_duplicates()
    return bags


def _add_words(parts: dict[str, Any], texts: Sequence[str], often: int) -> None:
    """Append tokens of full words to the vocabulary; the tokenizer prefers the longest piece."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(json.dumps({**parts, "truncation": None, "padding": None}))
    counts = _word_counts(tokenizer, texts)
    vocabulary = parts["model"]["vocab"]
    # Added tokens may follow the vocabulary.
    added = (token["id"] for token in parts.get("added_tokens") or [])
    number = max((*vocabulary.values(), *added)) + 1
    for word, count in counts.items():
        if count < often:
            break
        cut = len(tokenizer.encode(word, add_special_tokens=False).ids) > 1
        if cut and word.isalnum() and word not in vocabulary:
            vocabulary[word], number = number, number + 1


def _of_words(texts: Sequence[str]) -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    # The library's trainer breaks ties at random, but two runs must give the same table.
    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    counts = _word_counts(tokenizer, texts)
    characters = sorted({character for word in counts for character in word})
    words = [word for word, count in counts.items() if count > 1 and len(word) > 1][:WORDS]
    tokens = [UNKNOWN, *characters, *(f"{PART}{one}" for one in characters), *words]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    tokenizer.model = models.WordPiece(vocabulary, unk_token=UNKNOWN)
    return str(tokenizer.to_str())


def _word_counts(tokenizer: Any, texts: Sequence[str]) -> dict[str, int]:
    """Count the words before they are split into pieces, by descending count, then spelling."""
    counts: Counter[str] = Counter()
    for text in texts:
        if tokenizer.normalizer is not None:
            text = tokenizer.normalizer.normalize_str(text)
        counts.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
