"""Options of static embedders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from indexes.errors import InputError

# Number of common components of texts that each weighting's paper removes.
COMPONENTS = {"mean": 0, "idf": 0, "sif": 1, "usif": 5}

# The weighting that is chosen on the corpus, with all other options here.
AUTO = "auto"

# One line for each option of `StaticEmbedder`.
OPTION_HELP = {
    "weighting": f"Weights of words: {', '.join(COMPONENTS)}; fitted to the corpus, but for mean. "
    f"{AUTO}: chosen on it, with the options below up to rank_floor, by queries made from it.",
    "components": "Common components of texts to remove; none: as in the weighting's paper.",
    "unit_words": "Scale each word vector to length 1 first.",
    "all_but_top": "Principal components of the words to remove, after their mean; 0: neither.",
    "conceptor": "Shrink each direction by how much the words share it (conceptor negation), "
    "instead of all_but_top.",
    "rank_floor": "Take no word for rarer than its rank in the vocabulary says: words of questions "
    "are rare in documents.",
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
    conceptor: bool = False
    rank_floor: bool = False

    def __post_init__(self) -> None:
        if self.weighting not in (*COMPONENTS, AUTO):
            known = ", ".join((*COMPONENTS, AUTO))
            raise InputError(f"Unknown weighting '{self.weighting}'. It can be: {known}.")
        for name in ("unit_words", "conceptor", "rank_floor"):
            if not isinstance(value := getattr(self, name), bool):
                raise InputError(f"{name} is {value!r}; expected True or False.")
        if self.is_auto and (given := [*self.chosen()][1:]):
            raise InputError(
                f"The weighting '{AUTO}' chooses {', '.join(given)} itself: leave out "
                f"{', '.join(given)}, or give a weighting."
            )
        if self.rank_floor and self.weighting == "mean":
            raise InputError("rank_floor is about the weights of words, and 'mean' has none.")
        for name, value in (
            ("components", self.components or 0),
            ("all_but_top", self.all_but_top),
        ):
            # bool is a subclass of int.
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InputError(f"{name} is {value!r}; expected a whole number from 0.")
        if self.conceptor and self.all_but_top:
            raise InputError(
                "conceptor takes the place of all_but_top: it shrinks all components of the words. "
                "Give one of them."
            )

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
    def is_auto(self) -> bool:
        """Whether the options are to be chosen on the corpus."""
        return self.weighting == AUTO

    @property
    def removed(self) -> int:
        """Number of common components to remove from text vectors."""
        return COMPONENTS.get(self.weighting, 0) if self.components is None else self.components

    @property
    def changes_words(self) -> bool:
        """Whether components of words are removed, wholly or in part."""
        return self.conceptor or self.all_but_top > 0

    @property
    def linear(self) -> bool:
        """Whether components of words can be removed from their sums, which are far fewer."""
        return not self.unit_words and self.weighting != "usif"

    @property
    def needs_corpus(self) -> bool:
        """Whether the options require a fit."""
        return self.weighting != "mean" or bool(self.removed) or self.changes_words

    def chosen(self) -> dict[str, Any]:
        """Return the options for a spec: the weighting, and what differs from the defaults."""
        chosen: dict[str, Any] = {"weighting": self.weighting}
        for name in ("components", "unit_words", "all_but_top", "conceptor", "rank_floor"):
            if getattr(self, name) != getattr(StaticOptions, name):
                chosen[name] = getattr(self, name)
        return chosen

    def __str__(self) -> str:
        """Return the options as they are given on a command line."""
        weighting, *others = self.chosen().items()
        if self.removed == COMPONENTS.get(self.weighting):
            others = [one for one in others if one[0] != "components"]
        return ", ".join(
            [weighting[1], *(f"{name} {str(value).lower()}" for name, value in others)]
        )
