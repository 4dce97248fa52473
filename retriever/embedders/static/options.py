"""Options of static embedders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from indexes.errors import InputError

# Number of common components of texts that each weighting's paper removes.
COMPONENTS = {"mean": 0, "idf": 0, "sif": 1, "usif": 5}

# One line for each option of `StaticEmbedder`.
OPTION_HELP = {
    "weighting": f"Weights of words: {', '.join(COMPONENTS)}; fitted to the corpus, but for mean.",
    "components": "Common components of texts to remove; none: as in the weighting's paper.",
    "unit_words": "Scale each word vector to length 1 first.",
    "all_but_top": "Principal components of the words to remove, after their mean; 0: neither.",
    "phrases": "Join adjacent words that the vocabulary has as one; none: if it has phrases.",
    "trust_pickle": "Read models of gensim, which can run code. Only on the command line.",
    "skip_bad_words": "Leave out words of the file that are not UTF-8.",
}


@dataclass(frozen=True)
class StaticOptions:
    """Options of `StaticEmbedder` for combining word vectors; `InputError` for a bad value."""

    weighting: str = "mean"
    components: int | None = None
    unit_words: bool = False
    all_but_top: int = 0

    def __post_init__(self) -> None:
        if self.weighting not in COMPONENTS:
            known = ", ".join(COMPONENTS)
            raise InputError(f"Unknown weighting '{self.weighting}'. It can be: {known}.")
        if not isinstance(self.unit_words, bool):
            raise InputError(f"unit_words is {self.unit_words!r}; expected True or False.")
        for name, value in (
            ("components", self.components or 0),
            ("all_but_top", self.all_but_top),
        ):
            # bool is a subclass of int.
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InputError(f"{name} is {value!r}; expected a whole number from 0.")

    def check_width(self, dim: int) -> None:
        """Raise `InputError` if no dimension of `dim` would remain after the removals."""
        for name, number in (("components", self.removed), ("all_but_top", self.all_but_top)):
            # A weighting's default number of components is an upper bound.
            default = name == "components" and self.components is None
            if number >= dim and not default:
                raise InputError(
                    f"{name} is {number}, but the vectors have {dim} dimensions, so nothing would "
                    f"be left. Expected 0 to {dim - 1}."
                )

    @property
    def removed(self) -> int:
        """Number of common components to remove from text vectors."""
        return COMPONENTS[self.weighting] if self.components is None else self.components

    @property
    def needs_corpus(self) -> bool:
        """Whether the options require a fit."""
        return self.weighting != "mean" or bool(self.removed or self.all_but_top)

    def chosen(self) -> dict[str, Any]:
        """Return the options for a spec: the weighting, and what differs from the defaults."""
        chosen: dict[str, Any] = {"weighting": self.weighting}
        for name in ("components", "unit_words", "all_but_top"):
            if getattr(self, name) != getattr(StaticOptions, name):
                chosen[name] = getattr(self, name)
        return chosen
