"""Several collections in one table: comparisons of the same systems, and their macro average."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from indexes.errors import InputError
from retriever.evaluation.measures import mean
from retriever.evaluation.results import ComparisonResults
from retriever.formats.writing import delimited_line

# In exports, what stands in place of a collection.
AVERAGE = "macro average"


@dataclass(frozen=True)
class SeveralComparisons:
    """Comparisons by collection, of the same systems by the same measures.

    Raises:
        InputError: there are fewer than two, or one has no judgments, other systems, measures or
            another baseline.
    """

    comparisons: Mapping[str, ComparisonResults]

    def __post_init__(self) -> None:
        if len(self.comparisons) < 2:
            raise InputError("A macro average needs at least two collections.")
        (first, reference), *others = self.comparisons.items()
        if not reference.judged:
            raise InputError(f"{first} has no judgments, which a macro average needs.")
        for name, one in others:
            if list(one.rows) != list(reference.rows):
                raise InputError(
                    f"{name} has the systems {', '.join(one.rows)}; {first} has "
                    f"{', '.join(reference.rows)}. Name the same ones with -i (indexes)."
                )
            if (one.measures, one.baseline) != (reference.measures, reference.baseline):
                raise InputError(
                    f"{name} and {first} have other measures, or another baseline. "
                    "Compare both in the same way."
                )

    @property
    def measures(self) -> Sequence[str]:
        """The measures, which all comparisons share."""
        return next(iter(self.comparisons.values())).measures

    @cached_property
    def average(self) -> Mapping[str, Mapping[str, float]]:
        """The mean over collections of each system's measures: every collection counts alike."""
        return {
            name: {
                measure: mean({c: one.rows[name].quality[measure] for c, one in self._all()})
                for measure in self.measures
            }
            for name in next(iter(self.comparisons.values())).rows
        }

    def _all(self) -> Sequence[tuple[str, ComparisonResults]]:
        return list(self.comparisons.items())

    def to_json(self) -> str:
        """Return JSON lines, one object per collection and system, then those of the average."""
        return "\n".join(
            json.dumps({"collection": collection, "name": name, "quality": quality})
            for collection, name, quality in self._qualities()
        )

    def to_csv(self) -> str:
        """Return CSV with one line per number, under `collection,system,measure,value`."""
        lines = [("collection", "system", "measure", "value")]
        for collection, name, quality in self._qualities():
            lines += [(collection, name, what, f"{value}") for what, value in quality.items()]
        return "".join(delimited_line(cells, ",") for cells in lines).removesuffix("\n")

    def _qualities(self) -> list[tuple[str, str, dict[str, float]]]:
        found = [
            (collection, name, dict(row.quality))
            for collection, one in self._all()
            for name, row in one.rows.items()
        ]
        return found + [(AVERAGE, name, dict(of)) for name, of in self.average.items()]
