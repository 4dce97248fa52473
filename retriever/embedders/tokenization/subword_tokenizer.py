"""Fast batch tokenization with a Hugging Face tokenizer.

If no part of a tokenizer looks beyond a piece of text between spaces, the tokens of a text are
those of its pieces in order. Then only distinct pieces are tokenized, and results are cached. Any
other tokenizer gets complete texts. Texts are read in their normal form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.errors import FileFormatError
from indexes.text.normalize import normalize
from indexes.text.words import SPACE, SplitRules, expanded, normal_texts, split_batch, text_chunks

# Spaces to all tokenizers, and kept by none.
SPACES = b" \t\n\r"
PUNCTUATION = bytes(code for code in range(33, 127) if not chr(code).isalnum())
TO_SPACES = bytes(SPACE if code in SPACES else code for code in range(256))
TO_SMALL_AND_SPACES = TO_SPACES.lower()
TO_SMALL = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
ASCII_CAPITAL = re.compile("[A-Z]")
WORD_BY_WORD = re.compile(r"[^ \t\n\r]+")
MARKS = re.escape(PUNCTUATION.decode())
MARK_BY_MARK = re.compile(rf"[^ \t\n\r{MARKS}]+|[{MARKS}]")

# Parts that look no further than a piece between spaces; those of `NORMALIZERS_OF_MARKS`, not even
# beyond ASCII punctuation.
NORMALIZERS_OF_MARKS = {"BertNormalizer", "Lowercase", "NFD", "StripAccents"}
NORMALIZERS = NORMALIZERS_OF_MARKS | {"NFC", "NFKC", "NFKD"}
SPLITTERS = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
MODELS = {"WordPiece", "WordLevel", "BPE"}
# Searching every text for more special tokens would cost more than it saves.
SPECIAL_TOKENS = 16
REMEMBERED = 500_000
WHOLE_TEXTS = 1_000


@dataclass(frozen=True)
class _Locality:
    """How texts may be split without changing their tokens.

    `marks`: also at punctuation. `lower`: ASCII letters may be lower-cased first. `special`: tokens
    matched in the raw text; if one occurs, only spaces separate.
    """

    marks: bool
    lower: bool
    special: tuple[str, ...]


class TextTokenizer:
    """Tokenizer of a `tokenizer.json`, without special tokens, padding and truncation.

    `size` is the highest token plus one; `unknown` the unknown token, or None; `limit` the file's
    own maximum number of tokens of a text, or None.
    """

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        try:
            text = path.read_text("utf-8")
            self._tokenizer = Tokenizer.from_str(text)
            parts = json.loads(text)
        except Exception as error:  # tokenizers raises bare Exception
            reason = " ".join(str(error).split())[:200]
            raise FileFormatError(f"{path} is not a valid tokenizer ({reason}).") from None
        self.limit: int | None = (parts.get("truncation") or {}).get("max_length")
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.size = 1 + max(self._tokenizer.get_vocab().values(), default=-1)
        unknown = parts["model"].get("unk_token")
        self.unknown: int | None = parts["model"].get("unk_id")
        if unknown is not None:
            self.unknown = self._tokenizer.token_to_id(unknown)
        self._locality = _locality(parts)
        self._known: dict[str, Sequence[int]] = {}

    def name(self, token: int) -> str:
        """Return the string of a token."""
        return str(self._tokenizer.id_to_token(token))

    def tokens(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the tokens of all texts in order, and the offsets of each text (texts + 1,)."""
        parts = [self._of_chunk(chunk) for chunk in text_chunks(texts)]
        tokens = np.concatenate([np.zeros(0, np.int32), *(tokens for tokens, _ in parts)])
        counts = np.concatenate([np.zeros(0, np.int64), *(counts for _, counts in parts)])
        return tokens, np.concatenate([[0], np.cumsum(counts)])

    def tokens_of(self, text: str) -> list[int]:
        """Return the tokens of one text: the fast twin of `tokens`."""
        local, text = self._locality, normalize(text)
        if local is None:
            ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
            return ids
        marks, lower = local.marks, local.lower and text.isascii()
        small = text.lower() if lower else text
        if any(token in text or token in small for token in local.special):
            marks, small = False, text
        pieces = (MARK_BY_MARK if marks else WORD_BY_WORD).findall(small)
        known = self._known
        try:
            return [token for piece in pieces for token in known[piece]]
        except KeyError:
            return list(chain.from_iterable(self._of_pieces(pieces)))

    def unknown_in(self, text: str) -> list[str]:
        """Return the distinct parts of a text that became the `unknown` token, in order."""
        text = normalize(text)
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        pairs = zip(encoding.ids, encoding.offsets, strict=True)
        spans = (span for token, span in pairs if token == self.unknown)
        return list(dict.fromkeys(text[begin:end] for begin, end in spans))

    def _of_chunk(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the tokens of all texts in order, and the count of each text."""
        local, texts = self._locality, normal_texts(texts)
        if local is None:
            return _flat(self._of_whole(texts))
        pieces = split_batch(texts, self._split_rules(texts, local))
        flat, counts = _flat(self._of_pieces(pieces.distinct))
        places, ends = expanded(pieces.codes, counts)
        if ends[-1] == 0:
            return np.zeros(0, np.int32), np.zeros(len(texts), np.int64)
        return flat[places], np.diff(ends[pieces.offsets])

    def _split_rules(self, texts: Sequence[str], local: _Locality) -> SplitRules:
        marked = any(token in text for token in local.special for text in texts)
        if local.lower and not marked:
            small = [token for token in local.special if not ASCII_CAPITAL.search(token)]
            marked = any(token in text.translate(TO_SMALL) for token in small for text in texts)
        if marked:
            return SplitRules(TO_SPACES)
        translation = TO_SMALL_AND_SPACES if local.lower else TO_SPACES
        return SplitRules(translation, alone=PUNCTUATION if local.marks else b"")

    def _of_pieces(self, pieces: Sequence[str]) -> list[Sequence[int]]:
        known = self._known
        new = list(dict.fromkeys(piece for piece in pieces if piece not in known))
        if len(known) + len(new) > REMEMBERED:
            # A new dictionary, since another thread may be reading the old one.
            self._known = known = {piece: known[piece] for piece in pieces if piece in known}
        plain = [piece for piece in new if piece.isascii() and piece.isalnum()]
        known.update(zip(plain, self._of_plain(plain), strict=True))
        others = [piece for piece in new if piece not in known]
        known.update(zip(others, self._of_whole(others), strict=True))
        return [known[piece] for piece in pieces]

    def _of_plain(self, pieces: list[str]) -> Iterable[Sequence[int]]:
        """Yield the tokens of ASCII alphanumeric pieces, tokenized as the words of joined texts.

        Most of the cost of a single word is the fixed cost of a text.
        """
        blocks = [pieces[at : at + WHOLE_TEXTS] for at in range(0, len(pieces), WHOLE_TEXTS)]
        # encode_batch_fast does not return word_ids.
        joined = self._tokenizer.encode_batch([*map(" ".join, blocks)], add_special_tokens=False)
        for block, encoding in zip(blocks, joined, strict=True):
            owners = encoding.word_ids
            counts = np.bincount(np.array([] if None in owners else owners, np.int64))
            if len(counts) != len(block):  # one contains an added token
                yield from self._of_whole(block)
                continue
            ids, ends = encoding.ids, np.cumsum(counts)
            starts = (ends - counts).tolist()
            yield from (ids[begin:end] for begin, end in zip(starts, ends.tolist(), strict=True))

    def _of_whole(self, texts: Sequence[str]) -> Iterable[Sequence[int]]:
        for start in range(0, len(texts), WHOLE_TEXTS):
            some = list(texts[start : start + WHOLE_TEXTS])
            for encoding in self._tokenizer.encode_batch_fast(some, add_special_tokens=False):
                yield encoding.ids


def _flat(lists: Iterable[Sequence[int]]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Concatenate lists; return the numbers and the length of each list."""
    kept = list(lists)
    counts = np.fromiter(map(len, kept), np.int64, len(kept))
    return np.fromiter(chain.from_iterable(kept), np.int32, int(counts.sum())), counts


def _locality(parts: dict[str, Any]) -> _Locality | None:
    """Return how texts may be split for a tokenizer; None if they may not."""
    normalizers = _steps(parts.get("normalizer"), "normalizers")
    splitters = _steps(parts.get("pre_tokenizer"), "pretokenizers")
    kinds = {step["type"] for step in normalizers}
    added = parts.get("added_tokens") or []
    # An added token that is empty or contains a space may reach beyond a piece.
    local = all(token["content"] and not re.search(r"\s", token["content"]) for token in added)
    if (
        not local
        or not kinds <= NORMALIZERS
        or len(splitters) != 1
        or splitters[0]["type"] not in SPLITTERS
        or parts["model"]["type"] not in MODELS
        or parts["model"].get("dropout")
    ):
        return None
    raw = tuple(token["content"] for token in added if not token["normalized"])
    few = kinds <= NORMALIZERS_OF_MARKS and len(raw) <= SPECIAL_TOKENS
    marks = few and splitters[0]["type"] == "BertPreTokenizer" and len(raw) == len(added)
    # A lower-case letter may compose with a mark where its capital cannot: `h` and U+0331.
    lower = few and any(
        step["type"] == "Lowercase" or (step["type"] == "BertNormalizer" and step.get("lowercase"))
        for step in normalizers
    )
    return _Locality(marks, lower, raw if marks or lower else ())


def _steps(part: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    """Return a part of the tokenizer as a flat list of steps."""
    if part is None or part["type"] != "Sequence":
        return [] if part is None else [part]
    return [step for inner in part[name] for step in _steps(inner, name)]
