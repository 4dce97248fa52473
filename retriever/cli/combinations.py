"""Options of `build` for combinations of indexes: fusion, cascade (reranking), escalation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from retriever.collection import Collection
    from retriever.indexing.reports import BuildReport


@dataclass(frozen=True)
class Escalation:
    """Options of an escalation; true if any is given."""

    first: str | None
    second: str | None
    margin: float | None

    def __bool__(self) -> bool:
        return (self.first, self.second, self.margin) != (None, None, None)

    def check(self) -> None:
        """Refuse an escalation without one of its indexes."""
        if self.first is None or self.second is None:
            raise click.UsageError("An escalation needs both: --escalate FIRST --to SECOND.")

    def build(self, collection: Collection, name: str) -> BuildReport:
        """Name the escalation."""
        from retriever.search.combinations.escalation import DEFAULT_MARGIN

        margin = DEFAULT_MARGIN if self.margin is None else self.margin
        return collection.escalate(name, str(self.first), str(self.second), margin=margin)


@dataclass(frozen=True)
class Combination:
    """Options of a fusion, a cascade or an escalation; true if any is given."""

    fused: tuple[str, ...]
    method: str | None
    rrf_k: float | None
    first: str | None
    second: str | None
    depth: int | None
    options: tuple[tuple[str, str], ...]
    escalation: Escalation

    def __bool__(self) -> bool:
        ranks = self.first is not None or self.second is not None
        return bool(self.fused) or ranks or bool(self.escalation)

    @property
    def reranks(self) -> bool:
        """Whether a model ranks the candidates: no name of an index has a colon."""
        return self.second is not None and ":" in self.second

    def check(self, *others: object) -> None:
        """Refuse options that exclude each other."""
        own = (self.method, self.rrf_k, self.depth)
        if not self and own != (None,) * 3:
            raise click.UsageError("--method, --rrf-k and --depth need --fuse or --cascade.")
        if self and any(others):
            raise click.UsageError(
                "--fuse, --cascade and --escalate combine existing indexes: omit other options."
            )
        if self.escalation:
            self.escalation.check()
            if self.fused or self.options or (self.first, self.second, *own) != (None,) * 5:
                raise click.UsageError("Give --escalate without options of --fuse and --cascade.")
        if self and self.options and not self.reranks:
            raise click.UsageError("With --cascade, -o is for --rerank KIND:MODEL.")
        if (self.first is None) != (self.second is None):
            raise click.UsageError("Reranking needs both: --cascade FIRST --rerank SECOND.")
        cascade = self.first is not None
        if cascade and (self.fused or (self.method, self.rrf_k) != (None, None)):
            raise click.UsageError("Give either --fuse or --cascade, not both.")

    def build(self, collection: Collection, name: str) -> BuildReport:
        """Name the combination."""
        from retriever.indexing.inspection import RRF
        from retriever.search.combinations.fusion import DEPTH, RRF_K

        if self.escalation:
            return self.escalation.build(collection, name)
        own = dict(self.options)
        depth = self.depth or _depth(own.pop("depth", None)) or DEPTH
        if self.first is not None and self.reranks:
            return collection.cascade(
                name, self.first, rerank=self.second, options=own, depth=depth
            )
        if self.first is not None and self.second is not None:
            return collection.cascade(name, self.first, self.second, depth=depth)
        names, weights = zip(*map(_part, self.fused), strict=True)
        method = RRF if self.method is None else self.method
        rrf_k = RRF_K if self.rrf_k is None else self.rrf_k
        return collection.fuse(
            name, names, method=method, weights=weights, rrf_k=rrf_k, depth=depth
        )


def _depth(text: str | None) -> int | None:
    """Parse `-o depth N`, which is the same as `--depth N`."""
    if text is None:
        return None
    if not text.isdecimal() or not int(text):
        raise click.UsageError(f"depth is {text!r}; expected a whole number of at least 1.")
    return int(text)


def _part(text: str) -> tuple[str, float]:
    """Parse an index and its weight: `bm25` or `bm25=0.3`."""
    name, weighs, weight = text.partition("=")
    try:
        return name, float(weight) if weighs else 1.0
    except ValueError:
        raise click.UsageError(f"The weight in --fuse {text} is not a number.") from None
