"""Options of a BM25 index: the stemmer, stop words, and the parameters k1 and b."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from indexes.errors import InputError, check_flag, check_text, did_you_mean, short_repr
from indexes.values import is_number

LANGUAGES = (
    *("arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hungarian"),
    *("italian", "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish", "tamil"),
    *("turkish", "none"),
)
# Those that tantivy has a list of stop words for.
WITH_STOPWORDS = (
    *("danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian"),
    *("norwegian", "portuguese", "russian", "spanish", "swedish"),
)
K1, B = 1.2, 0.75
LARGEST_K1 = 100.0


@dataclass(frozen=True)
class LexicalOptions:
    """How a BM25 index reads and scores texts; see `bm25`.

    Words are stemmed by `language`; with `stopwords`, its stop words are left out of texts and
    queries, and of the lengths of texts.

    Raises:
        InputError: there is no stemmer, or no list of stop words, for the language; `k1` is not a
            number from 0 to 100, or `b` not one from 0 to 1.
    """

    language: str = "english"
    stopwords: bool = False
    k1: float = K1
    b: float = B

    def __post_init__(self) -> None:
        check_text("The language", self.language)
        check_flag("stopwords", self.stopwords)
        if self.language not in LANGUAGES:
            raise InputError(
                f"No stemmer for '{self.language}'. It can be: {', '.join(LANGUAGES)}."
                f"{did_you_mean(self.language, LANGUAGES)}"
            )
        if self.stopwords and self.language not in WITH_STOPWORDS:
            raise InputError(
                f"No list of stop words for '{self.language}'. There is one for: "
                f"{', '.join(WITH_STOPWORDS)}."
            )
        for name, value, most in (("k1", self.k1, LARGEST_K1), ("b", self.b, 1.0)):
            if not is_number(value) or not 0 <= value <= most:
                raise InputError(
                    f"{name} is {short_repr(value)}; expected a number from 0 to {most:g}."
                )
            # Of whatever type it was, such as numpy's, the definition of an index holds it as JSON.
            object.__setattr__(self, name, float(value))

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> LexicalOptions:
        """Return the options in an index's definition; those that it lacks have their defaults."""
        names = cls.__dataclass_fields__
        return cls(**{name: value for name, value in definition.items() if name in names})

    @property
    def definition(self) -> dict[str, Any]:
        """What the definition of an index holds: the language, and what differs from defaults."""
        plain = LexicalOptions(self.language)
        other = {name: value for name, value in asdict(self).items() if value != vars(plain)[name]}
        return {"language": self.language, **other}

    @property
    def is_tuned(self) -> bool:
        """Whether k1 or b differ from those that tantivy computes with."""
        return (self.k1, self.b) != (K1, B)

    def __str__(self) -> str:
        other = {name: value for name, value in self.definition.items() if name != "language"}
        shown = [
            "no stop words" if name == "stopwords" else f"{name} {value:g}"
            for name, value in other.items()
        ]
        return ", ".join([self.language, *shown])
