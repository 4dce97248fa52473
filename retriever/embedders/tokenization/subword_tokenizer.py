"""Texts to the tokens of a Hugging Face tokenizer, at the speed of a look-up: its door.

A tokenizer whose parts look at no more than a piece of text between spaces gives for a text the
tokens of its pieces, one after the other. So a batch is cut into pieces, only the distinct ones
meet the tokenizer, and what they gave is remembered. Any other tokenizer is asked for whole texts.
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
from retriever.embedders.tokenization.batch_split import SPACE, SplitRules, chunks, cut

# What no tokenizer keeps, and what BERT's and all others take for a space.
SPACES = b" \t\n\r"
PUNCTUATION = bytes(code for code in range(33, 127) if not chr(code).isalnum())
TO_SPACES = bytes(SPACE if code in SPACES else code for code in range(256))
TO_SMALL_AND_SPACES = TO_SPACES.lower()
TO_SMALL = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
ASCII_CAPITAL = re.compile("[A-Z]")
WORD_BY_WORD = re.compile(r"[^ \t\n\r]+")
MARK_BY_MARK = re.compile(
    rf"[^ \t\n\r{re.escape(PUNCTUATION.decode())}]+|[{re.escape(PUNCTUATION.decode())}]"
)

# Parts that see no further than a piece between spaces; those in the first sets, than one between
# punctuation in ASCII as well.
NORMALIZERS_OF_MARKS = {"BertNormalizer", "Lowercase", "NFD", "StripAccents"}
NORMALIZERS = NORMALIZERS_OF_MARKS | {"NFC", "NFKC", "NFKD"}
SPLITTERS = {"BertPreTokenizer", "Whitespace", "WhitespaceSplit"}
MODELS = {"WordPiece", "WordLevel", "BPE"}
# Looking for more special tokens in every text would take longer than cutting less.
SPECIAL_TOKENS = 16
REMEMBERED = 500_000
WHOLE_TEXTS = 1_000


@dataclass(frozen=True)
class _Locality:
    """How texts may be cut without changing their tokens.

    `marks`: at punctuation, too. `lower`: ASCII letters may be lower-cased first. `special`: tokens
    that are looked for in the text as it stands; where one is there, only spaces separate.
    """

    marks: bool
    lower: bool
    special: tuple[str, ...]


class TextTokenizer:
    """The tokenizer in a `tokenizer.json`, without special tokens, padding and truncation.

    `size` is one more than the highest token; `unknown` the token of what it does not know, None
    where it has none; `limit` the most tokens of a text that the file itself allows, None for all.

    Raises:
        FileFormatError: no such file, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        try:
            text = path.read_text("utf-8")
            self._tokenizer = Tokenizer.from_str(text)
            parts = json.loads(text)
        except Exception as error:  # tokenizers raises bare Exception
            reason = " ".join(str(error).split())[:200]
            raise FileFormatError(f"{path} is no tokenizer ({reason}).") from None
        self.limit: int | None = (parts.get("truncation") or {}).get("max_length")
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.size = 1 + max(self._tokenizer.get_vocab().values(), default=-1)
        self.unknown = self._unknown(parts["model"])
        self._locality = _locality(parts)
        self._known: dict[str, Sequence[int]] = {}

    def name(self, token: int) -> str:
        """What a token is called."""
        return str(self._tokenizer.id_to_token(token))

    def tokens(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The tokens of all texts in order, and where each text begins and ends among them.

        Raises:
            UnicodeEncodeError: a text holds a lone surrogate.
        """
        parts = [self._of_chunk(chunk) for chunk in chunks(texts)]
        tokens = np.concatenate([np.zeros(0, np.int32), *(tokens for tokens, _ in parts)])
        counts = np.concatenate([np.zeros(0, np.int64), *(counts for _, counts in parts)])
        return tokens, np.concatenate([[0], np.cumsum(counts)])

    def tokens_of(self, text: str) -> list[int]:
        """The tokens of one text: what `tokens` says, and sooner."""
        local = self._locality
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
        """The stretches of a text that became the token `unknown`, each once, in their order."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        pairs = zip(encoding.ids, encoding.offsets, strict=True)
        spans = (span for token, span in pairs if token == self.unknown)
        return list(dict.fromkeys(text[begin:end] for begin, end in spans))

    def _unknown(self, model: dict[str, Any]) -> int | None:
        token, number = model.get("unk_token"), model.get("unk_id")
        found: int | None = number if token is None else self._tokenizer.token_to_id(token)
        return found

    def _of_chunk(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """The tokens of all texts in order, and how many each text has."""
        local = self._locality
        if local is None:
            return _flat(self._of_whole(texts))
        pieces = cut(texts, self._cut(texts, local))
        flat, counts = _flat(self._of_pieces(pieces.distinct.to_pylist()))
        firsts = np.cumsum(counts) - counts
        repeats = counts[pieces.codes]
        ends = np.concatenate([[0], np.cumsum(repeats)])
        if ends[-1] == 0:
            return np.zeros(0, np.int32), np.zeros(len(texts), np.int64)
        # The position of every token among those of its own piece, and then among all.
        shifts = firsts[pieces.codes] - ends[:-1]
        places = np.arange(ends[-1]) + np.repeat(shifts, repeats)
        return flat[places], np.diff(ends[pieces.offsets])

    def _cut(self, texts: Sequence[str], local: _Locality) -> SplitRules:
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
            # A new dictionary: another thread may be reading the old one.
            known = {piece: known[piece] for piece in pieces if piece in known}
            self._known = known
        plain = [piece for piece in new if piece.isascii() and piece.isalnum()]
        known.update(zip(plain, self._of_plain(plain), strict=True))
        others = [piece for piece in new if piece not in known]
        known.update(zip(others, self._of_whole(others), strict=True))
        return [known[piece] for piece in pieces]

    def _of_plain(self, pieces: list[str]) -> Iterable[Sequence[int]]:
        """The tokens of pieces of ASCII letters and digits: many as one text, a word each.

        Most of the time that a tokenizer takes for a word is what it takes for any text.
        """
        blocks = [pieces[at : at + WHOLE_TEXTS] for at in range(0, len(pieces), WHOLE_TEXTS)]
        # Its faster sister does not say which word a token belongs to.
        joined = self._tokenizer.encode_batch([*map(" ".join, blocks)], add_special_tokens=False)
        for block, encoding in zip(blocks, joined, strict=True):
            owners = encoding.word_ids
            counts = np.bincount(np.array([] if None in owners else owners, np.int64))
            if len(counts) != len(block):  # an added token stands in one of them
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
    """All numbers in order, and how many each list has."""
    kept = list(lists)
    counts = np.fromiter(map(len, kept), np.int64, len(kept))
    return np.fromiter(chain.from_iterable(kept), np.int32, int(counts.sum())), counts


def _locality(parts: dict[str, Any]) -> _Locality | None:
    """How texts may be cut, by the parts of a tokenizer; None where they may not."""
    normalizers = _steps(parts.get("normalizer"), "normalizers")
    splitters = _steps(parts.get("pre_tokenizer"), "pretokenizers")
    kinds = {step["type"] for step in normalizers}
    added = parts.get("added_tokens") or []
    # An empty added token, or one with a space in it, may reach beyond a piece.
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
    marks = (
        kinds <= NORMALIZERS_OF_MARKS
        and splitters[0]["type"] == "BertPreTokenizer"
        and len(raw) == len(added) <= SPECIAL_TOKENS
    )
    # A small letter may be composed with a mark where its capital cannot: `h` and U+0331.
    lower = (
        kinds <= NORMALIZERS_OF_MARKS
        and len(raw) <= SPECIAL_TOKENS
        and any(map(_lowers, normalizers))
    )
    return _Locality(marks, lower, raw if marks or lower else ())


def _steps(part: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    """A part of the tokenizer as the list of its steps."""
    if part is None:
        return []
    if part["type"] != "Sequence":
        return [part]
    return [step for inner in part[name] for step in _steps(inner, name)]


def _lowers(step: dict[str, Any]) -> bool:
    return step["type"] == "Lowercase" or (
        step["type"] == "BertNormalizer" and bool(step.get("lowercase"))
    )
