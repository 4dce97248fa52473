"""Word vectors as vocabularies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.text.characters import lower_case, versions
from indexes.text.compounds import Compounds, has_separator, is_compound, with_separators
from indexes.text.normalize import normalize, without_joiners
from indexes.text.unspaced import UNSPACED, characters_of, cut
from indexes.text.words import Words, split, words_of
from retriever.embedders.base import Matrix
from retriever.embedders.static.vocabulary import TokenRows
from retriever.embedders.tokenization.phrases import JOINT, Phrases, unit_starts
from retriever.embedders.word_vectors.vectors import WordVectors

# GoogleNews has two phrases for every word; lists of plain words have a few odd entries with `_`.
SHARE = 0.01
# Characters of a word in a script without spaces, at most: cutting tries all up to it.
LONGEST_CUT = 12
# Entries that are looked at together for one with a separator.
FEW_NAMES = 256
# Version of the rules by which entries are read: with another one, what is kept is computed again.
VERSION = 1
DIGITS_TO_MARKS = dict.fromkeys(range(ord("0"), ord("9") + 1), "#")


class WordVocabulary:
    """Vocabulary of words and phrases, with the rows of `words`.

    Texts are read in their normal form (see `indexes.text`). The vocabulary's own spelling of a
    word wins: it is looked up as written, then in lower case and without joiners, then as the first
    entry of the same form, as `haus` for `Haus`. If the vocabulary has no upper-case letter, texts
    are lower-cased first. If it writes numbers as GoogleNews does, `##` for 10 to 99, an unknown
    word with digits is looked up with `#` for each. Entries with separators in them, such as
    `c++`, are words where a text has them (see `indexes.text.compounds`). If at least 1 % of the
    entries are phrases such as `New_York`, or `phrases` is True, the words of a phrase are joined.
    An unknown run of a script without spaces is cut into words of the vocabulary.
    """

    def __init__(self, words: WordVectors, *, phrases: bool | None = None) -> None:
        self.words = words
        self.dim, self.checksum = words.dim, words.checksum
        self.vectors: Matrix = np.asarray(words.vectors)
        self.teacher: str | None = None
        self._phrases_wanted = phrases
        self.lower = not words.has_upper_case

    @property
    def case(self) -> str:
        """`lower`, or `as written, else lower`."""
        return "lower" if self.lower else "as written, else lower"

    @cached_property
    def marks_digits(self) -> bool:
        """Whether numbers of two or more digits are written with `#` for each digit."""
        # Most files have no `#`: this is checked without a lookup of words.
        if not self.words.occurrences("#"):
            return False
        return "##" in self.words and not any(str(n) in self.words for n in range(10, 100))

    @cached_property
    def phrases(self) -> Phrases | None:
        """Phrases of the vocabulary, if it has enough of them or they were requested."""
        least = 1 if self._phrases_wanted else max(1, int(np.ceil(SHARE * len(self.words))))
        if self._phrases_wanted is False or self.words.occurrences(JOINT) < least:
            return None
        found = Phrases(self.words.names)
        return found if len(found) >= least else None

    @cached_property
    def compounds(self) -> Compounds | None:
        """Entries such as `c++` and `covid-19`, by which texts are read; None without any."""
        if not self._has_compounds:
            return None
        return Compounds(
            lambda: list(self._reached.values()),
            self._row,
            self.name,
            lower=self.lower,
            never="" if self.phrases is None else JOINT,
            marks_digits=self.marks_digits,
            kept=partial(self._kept, "contexts"),
        )

    @cached_property
    def _reached(self) -> dict[int, str]:
        """Those of `_odd` that a text can have as one word."""
        return self._kept_names("compounds", self._find_reached)

    def _find_reached(self) -> dict[int, str]:
        if self.compounds is None:
            return {}
        names = set(filter(self.compounds.is_entry, self._compounds_in(self._odd)))
        return {row: name for row, name in self._odd.items() if name in names}

    def _kept(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what `make` returns, kept with the words by all else that it depends on."""
        key = f"{VERSION}-{versions()}-{self.marks_digits:d}{self.phrases is not None:d}"
        return self.words.kept(f"{name}-{key}", make)

    def _kept_names(self, name: str, make: Callable[[], Mapping[int, str]]) -> dict[int, str]:
        def arrays() -> dict[str, NDArray[Any]]:
            names = make()
            text = "".join(f"{name}\n" for name in names.values()).encode()
            rows = np.array([*names], np.int64)
            return {"rows": rows, "names": np.frombuffer(text, np.uint8)}

        kept = self._kept(name, arrays)
        names = kept["names"].tobytes().decode().split("\n")
        return dict(zip(kept["rows"].tolist(), names, strict=False))

    @property
    def _has_compounds(self) -> bool:
        # Most files with any have one in ASCII: others take long to classify.
        plain = (name for name in self.words.names if name.isascii() and not name.isalnum())
        while some := list(islice(plain, FEW_NAMES)):
            if self._compounds_in(self._odd_in(some)):
                return True
        others = [name for name in self.words.names if not name.isascii()]
        return bool(others and self._compounds_in(self._odd_in(others)))

    def _compounds_in(self, odd: Mapping[int, str]) -> list[str]:
        names = list(filter(is_compound, odd.values()))
        return names if self.phrases is None else [name for name in names if JOINT not in name]

    @cached_property
    def unreachable(self) -> float:
        """Share of the entries that no text can have as a word, because of their separators.

        Those that are read as their parts between hyphens do not count.
        """
        out = [row for row in self._odd if self._separate[row]]
        if self.compounds is not None:
            out = [row for row in out if not self.compounds.is_parts(self._odd[row])]
        if self.phrases is not None:
            out = [row for row in out if JOINT not in self._odd[row]]
        return len(out) / len(self.words)

    @cached_property
    def _odd(self) -> dict[int, str]:
        """Normal forms of the entries with a separator, by row; a digit's `#` is none."""
        return self._kept_names("separators", lambda: self._odd_in(self.words.names))

    def _odd_in(self, names: Sequence[str]) -> dict[int, str]:
        found = with_separators(names)
        if self.marks_digits:
            marks = {row: name.replace("#", "0") for row, name in found.items()}
            found = {
                row: name if is_compound(name) else marks[row]
                for row, name in found.items()
                if is_compound(name) or has_separator(marks[row])
            }
        return found

    @cached_property
    def _separate(self) -> NDArray[np.bool_]:
        """Whether no text has an entry as one word, by row; True for row -1, an unknown word."""
        separate = np.zeros(len(self.words) + 1, np.bool_)
        separate[-1] = True
        separate[[*self._odd]] = True
        if self.compounds is not None:
            separate[[*self._reached]] = False
        return separate

    @property
    def attributes(self) -> Mapping[str, object]:
        """Attributes of the fingerprint."""
        attributes: dict[str, object] = {
            "source": self.checksum,
            "words": "unicode L, M, N, normalized",
            "lower": self.lower,
            "subwords": self.words.subwords is not None,
        }
        if not self.lower:
            attributes["case"] = self.case
        if self.marks_digits:
            attributes["digits"] = "#"
        if self.phrases is not None:
            attributes["phrases"] = True
        if self.compounds is not None:
            attributes["separators"] = "as in entries"
        return attributes

    @cached_property
    def _by_form(self) -> dict[str, int]:
        """Rows of entries that differ from their form, by form; the first entry of each."""
        return self._rows_by("forms", _form)

    @cached_property
    def _by_plain_form(self) -> dict[str, int]:
        """Those of `_by_form` that are ASCII, if the vocabulary has no upper-case letter.

        Other forms take long to make; a text in ASCII does not need them.
        """
        return self._rows_by("plain", _plain_form)

    def _rows_by(self, name: str, form_of: Callable[[str], str]) -> dict[str, int]:
        """Return the rows of entries by a form that no entry has; the first entry of each."""
        forms = self._kept_names(name, lambda: self._forms_by(form_of))
        return {form: row for row, form in forms.items()}

    def _forms_by(self, form_of: Callable[[str], str]) -> dict[int, str]:
        rows: dict[str, int] = {}
        for row, name in enumerate(self.words.names):
            if name.isascii() and (self.lower or name.islower()):
                continue
            form = form_of(name)
            if form and form != name and self.words.row(form) is None:
                rows.setdefault(form, row)
        return {row: form for form, row in rows.items()}

    @cached_property
    def _longest_unspaced(self) -> int:
        """Characters of the longest entry in a script without spaces; 0 if there is none."""
        names = (name for name in self.words.names if not name.isascii())
        lengths = (len(characters_of(name)) for name in names if UNSPACED.search(name))
        return min(max(lengths, default=0), LONGEST_CUT)

    def name(self, row: int) -> str:
        """Return the word or phrase of a row."""
        return self.words.names[row]

    def bags(self, texts: Sequence[str]) -> TokenRows:
        """Return the rows of the known words and phrases of all texts."""
        found, rows_of_words = self._found(texts)
        known = rows_of_words >= 0
        ids, places = np.unique(rows_of_words[known], return_inverse=True)
        rows = np.full(len(known), -1, np.int32)
        rows[known] = places
        table, made = self.vectors[ids], list[str]()
        if self.words.subwords is not None and not known.all():
            unknown = np.flatnonzero(~known)
            words = [found.distinct[place] for place in unknown.tolist()]
            extra, any_known = self.words.subwords.vectors_of(words)
            table = np.concatenate([table, extra[any_known]])
            made = [words[place] for place in np.flatnonzero(any_known).tolist()]
            rows[unknown[any_known]] = len(ids) + np.arange(len(made))
        occurrences, offsets = rows.take(found.codes), found.offsets
        there = occurrences >= 0
        if not there.all():
            offsets = offsets - np.searchsorted(np.flatnonzero(~there), offsets)
            occurrences = occurrences[there]
        return TokenRows(
            rows=occurrences,
            offsets=offsets,
            ids=np.concatenate([ids, np.full(len(made), -1)]),
            table=table,
            occurring=len(found.codes),
            make_words=lambda: [*map(self.name, ids.tolist()), *made],
        )

    def rows_of(self, text: str) -> list[int] | None:
        """Return the rows of one text: the fast twin of `bags`; None if a word may have subwords.

        `test_one_text_has_the_rows_it_has_in_a_batch` holds them equal.
        """
        words = words_of(text, lower=self.lower, compounds=self.compounds)
        if not text.isascii() and UNSPACED.search(text):
            words = [piece for word in words for piece in self._pieces(word)]
        if self.phrases is not None:
            found = self._taken_together(words, self.phrases)
        else:
            found = self.words.rows(words)
            if -1 in found:
                found = [self._respelt(words[at]) if r < 0 else r for at, r in enumerate(found)]
        rows = [row for row in found if row >= 0] if -1 in found else found
        return rows if self.words.subwords is None or len(rows) == len(found) else None

    def unknown_words(self, texts: Sequence[str]) -> list[list[str]]:
        """Return, for each text, its distinct words without a vector, in order."""
        words, rows = self._found(texts)
        unknown = [words.distinct[place] for place in np.flatnonzero(rows < 0).tolist()]
        if self.words.subwords is not None and unknown:
            built = self.words.subwords.vectors_of(unknown)[1].tolist()
            unknown = [word for word, known in zip(unknown, built, strict=True) if not known]
        without = set(unknown)
        of_texts = (dict.fromkeys(words.of(text)) for text in range(len(texts)))
        return [[word for word in distinct if word in without] for distinct in of_texts]

    def _cuts(self, distinct: Sequence[str], rows: NDArray[np.int64]) -> dict[int, Sequence[str]]:
        """Return the pieces of those distinct words of a split, by place, that are to be cut."""
        pieces = dict[int, Sequence[str]]()
        if self.compounds is not None:
            for place in np.flatnonzero(self._separate[rows]).tolist():
                word = distinct[place]
                if not word.isalnum() and (some := self.compounds.cut(word)) != [word]:
                    pieces[place] = some
        for place in np.flatnonzero(rows < 0).tolist():
            word = distinct[place]
            if not word.isascii() and UNSPACED.search(word):
                some = pieces.get(place, [word])
                pieces[place] = [piece for word in some for piece in self._pieces(word)]
        return pieces

    def _row(self, word: str) -> int:
        """Return the row of the first known spelling of a word, or -1."""
        row = self.words.row(word)
        return self._respelt(word) if row is None else row

    def _respelt(self, word: str) -> int:
        if self.lower and not self.marks_digits and word.isascii():
            return self._by_plain_form.get(word, -1)
        small = word if self.lower else lower_case(word)
        spellings = [small]
        if self.marks_digits:
            spellings += [word.translate(DIGITS_TO_MARKS), small.translate(DIGITS_TO_MARKS)]
        rows = (self.words.row(spelling) for spelling in spellings)
        found = next((row for row in rows if row is not None), None)
        return self._by_form.get(_form(word), -1) if found is None else found

    def _pieces(self, word: str) -> list[str]:
        """Return a word, cut by the vocabulary if it is an unknown run of an unspaced script."""
        if word.isascii() or not UNSPACED.search(word) or self._row(word) >= 0:
            return [word]
        longest = self._longest_unspaced
        return cut(word, self._row, longest) if longest else [word]

    def _part(self, word: str) -> str:
        """Return the spelling of a word in phrases: with `#` for digits if it is unknown alone."""
        if self.marks_digits and word not in self.words:
            return word.translate(DIGITS_TO_MARKS)
        return word

    def _taken_together(self, words: list[str], phrases: Phrases) -> list[int]:
        """Return the row of every word or phrase of one text, -1 for an unknown one."""
        spellings = [[self._part(word) for word in words]]
        if not self.lower:
            spellings.append([self._part(lower_case(word)) for word in words])
        rows, at = [], 0
        while at < len(words):
            longest = max(phrases.reach(spelling[at]) for spelling in spellings)
            size, row = 1, -1
            for size in range(min(longest, len(words) - at), 1, -1):
                joined = (JOINT.join(spelling[at : at + size]) for spelling in spellings)
                known = (self.words.row(phrase) for phrase in joined)
                row = next((row for row in known if row is not None), -1)
                if row >= 0:
                    break
            else:
                size, row = 1, self._row(words[at])
            rows.append(row)
            at += size
        return rows

    def _found(self, texts: Sequence[str]) -> tuple[Words, NDArray[np.int64]]:
        """Return the words and phrases of texts, and the row of each distinct one or -1."""
        words = split(texts, lower=self.lower, compounds=self.compounds)
        rows = self.words.ids(words.distinct)
        pieces = self._cuts(words.distinct, rows)
        cut = words.cut(pieces)
        if cut is not words:
            words, new = cut, cut.distinct[len(rows) :]
            rows = np.concatenate([rows, self.words.ids(new)])
        unknown = np.flatnonzero(rows < 0).tolist()
        others = [words.distinct[place] for place in unknown]
        if self.lower and not self.marks_digits:
            rows[unknown] = list(map(self._by_plain_form.get, others, repeat(-1)))
            left = [place for place, word in enumerate(others) if not word.isascii()]
            unknown, others = [unknown[at] for at in left], [others[at] for at in left]
        rows[unknown] = list(map(self._respelt, others))
        return (words, rows) if self.phrases is None else self._joined(words, rows, self.phrases)

    def _joined(
        self, words: Words, rows_of_words: NDArray[np.int64], phrases: Phrases
    ) -> tuple[Words, NDArray[np.int64]]:
        """Replace the words of phrases by the phrases."""
        distinct = words.distinct
        ends = np.repeat(words.offsets[1:], np.diff(words.offsets))
        parts = phrases.numbers([self._part(word) for word in distinct])
        lengths, rows = phrases.longest_at(parts[words.codes], ends)
        if not self.lower:
            small = phrases.numbers([self._part(lower_case(word)) for word in distinct])
            others, other_rows = phrases.longest_at(small[words.codes], ends)
            rows = np.where(others > lengths, other_rows, rows)
            lengths = np.maximum(lengths, others)
        begin = unit_starts(lengths)
        joined = begin & (lengths > 1)
        ids, places = np.unique(rows[joined], return_inverse=True)
        codes = words.codes.copy()
        codes[joined] = len(distinct) + places
        offsets = np.concatenate([[0], np.cumsum(begin)])[words.offsets]
        names = [*distinct, *(self.words.names[row] for row in ids.tolist())]
        # A word that occurs only in phrases is not among the words of the result.
        left, places = np.unique(codes[begin], return_inverse=True)
        kept = [names[place] for place in left.tolist()]
        joined_rows = np.concatenate([rows_of_words, ids])[left]
        return Words(places.astype(np.int32), offsets, kept), joined_rows


def _form(word: str) -> str:
    """Return what the spellings of a word have in common."""
    return lower_case(without_joiners(normalize(word)))


def _plain_form(word: str) -> str:
    """Return the form of a word if it is ASCII, else an empty text."""
    form = without_joiners(normalize(word))
    return form.lower() if form.isascii() else ""
