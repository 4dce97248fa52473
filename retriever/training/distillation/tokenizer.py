"""What a student takes for tokens: its teacher's word pieces, or the words of the corpus.

The second door to tokenizers: it makes and changes a `tokenizer.json`, the other one reads it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

WORDS = 30_000
# A word that comes so often has enough lessons for a vector of its own.
OFTEN = 20
PART = "##"
UNKNOWN = "[UNK]"


def student_tokenizer(
    teacher: str | None, texts: Sequence[str], *, often: int | None = OFTEN
) -> str:
    """A `tokenizer.json` of word pieces (Wu et al. 2016), which never cuts a text off.

    `teacher` is the `tokenizer.json` of the teacher: taken over where it has word pieces, as BERT's
    has, with one token more for each word that comes `often` in `texts` and was cut to pieces
    before. For any other, the tokens are the words that come twice in `texts`, in small letters and
    without accents, and single characters, of which all other words are made.
    """
    parts: dict[str, Any] = json.loads(teacher) if teacher else {}
    if parts.get("model", {}).get("type") != "WordPiece":
        parts = json.loads(_of_words(texts))
    elif often is not None:
        _add_words(parts, texts, often)
    # A student reads whole texts, one at a time, and nothing but them.
    parts.update(truncation=None, padding=None, post_processor=None)
    return json.dumps(parts, ensure_ascii=False)


def meanings(tokenizer: str) -> list[str]:
    """For each token, by its number, the text that it stands for; none for special tokens."""
    parts = json.loads(tokenizer)
    prefix = parts["model"].get("continuing_subword_prefix", PART)
    added = parts.get("added_tokens") or []
    special = {token["content"] for token in added}
    vocabulary: dict[str, int] = parts["model"]["vocab"]
    # Some are added behind the vocabulary: they have rows, too.
    found = [""] * (1 + max((*vocabulary.values(), *(token["id"] for token in added))))
    for token, number in vocabulary.items():
        unused = token.startswith("[unused") and token.endswith("]")
        if token not in special and not unused and token != UNKNOWN:
            found[number] = token.removeprefix(prefix) or token
    return found


def _add_words(parts: dict[str, Any], texts: Sequence[str], often: int) -> None:
    """Give whole words a token, at the end of the vocabulary: the longest piece is taken first."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(json.dumps({**parts, "truncation": None, "padding": None}))
    counts: Counter[str] = Counter()
    for text in texts:
        if tokenizer.normalizer is not None:
            text = tokenizer.normalizer.normalize_str(text)
        counts.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
    vocabulary = parts["model"]["vocab"]
    # Some tokens are added behind the vocabulary.
    behind = (token["id"] for token in parts.get("added_tokens") or [])
    number = max((*vocabulary.values(), *behind)) + 1
    for word in sorted(counts, key=lambda word: (-counts[word], word)):
        if counts[word] < often:
            break
        cut = len(tokenizer.encode(word, add_special_tokens=False).ids) > 1
        if cut and word.isalnum() and word not in vocabulary:
            vocabulary[word], number = number, number + 1


def _of_words(texts: Sequence[str]) -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    # Its own trainer decides ties by chance, and two runs must give the same table.
    normalizer = normalizers.BertNormalizer(lowercase=True)
    splitter = pre_tokenizers.BertPreTokenizer()
    counts = Counter(
        word
        for text in texts
        for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    )
    characters = sorted({character for word in counts for character in word})
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    words = [word for word in ranked if counts[word] > 1 and len(word) > 1][:WORDS]
    tokens = [UNKNOWN, *characters, *(f"{PART}{one}" for one in characters), *words]
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    return str(tokenizer.to_str())
