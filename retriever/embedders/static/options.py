"""What a static embedder can be told: which words weigh how much, and what is taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from indexes.errors import InputError

# The common components that each weighting's own paper takes away from the vectors of texts.
COMPONENTS = {"mean": 0, "idf": 0, "sif": 1, "usif": 5}


@dataclass(frozen=True)
class StaticOptions:
    """The options of `StaticEmbedder` that say how the vectors of words become one of a text.

    Raises:
        InputError: an unknown weighting, or a number that is negative or not whole.
    """

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
        if self.components is not None:
            _check_number("components", self.components)
        _check_number("all_but_top", self.all_but_top)

    def check_width(self, dim: int) -> None:
        """Check that something is left of vectors `dim` wide.

        Raises:
            InputError: as many directions are to be taken away as there are, or more.
        """
        for name, number in (("components", self.removed), ("all_but_top", self.all_but_top)):
            # A weighting's own number of components is no more than a wish.
            wished = name == "components" and self.components is None
            if number >= dim and not wished:
                raise InputError(
                    f"{name} is {number}, and the vectors are {dim} wide: nothing would be left. "
                    f"Expected 0 to {dim - 1}."
                )

    @property
    def removed(self) -> int:
        """How many common components are to be taken away from the vectors of texts."""
        return COMPONENTS[self.weighting] if self.components is None else self.components

    @property
    def needs_corpus(self) -> bool:
        """Whether anything is to be learnt from a corpus."""
        return self.weighting != "mean" or bool(self.removed or self.all_but_top)

    def chosen(self) -> dict[str, Any]:
        """The options as a spec keeps them: the weighting, and what is not as by default."""
        chosen: dict[str, Any] = {"weighting": self.weighting}
        for name in ("components", "unit_words", "all_but_top"):
            if getattr(self, name) != getattr(StaticOptions, name):
                chosen[name] = getattr(self, name)
        return chosen


def _check_number(name: str, value: object) -> None:
    # True is an int to Python, and no number to a person.
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InputError(f"{name} is {value!r}; expected a whole number from 0.")
