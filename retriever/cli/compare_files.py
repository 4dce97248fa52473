"""Files of `compare`: queries and judgments to read, tables, pages and plots to write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retriever.cli.output import check_writable, keep_inputs, note

if TYPE_CHECKING:
    from retriever.comparison.comparison import Comparison
    from retriever.evaluation.macro_average import SeveralComparisons
    from retriever.search.queries import Query

MADE = "made:"
Judgments = dict[str, dict[str, int]] | None


@dataclass(frozen=True)
class Given:
    """Where the queries and judgments of one collection come from."""

    queries: str | None
    qrels: str | None
    dataset: str | None
    library: Path

    def read(
        self, columns: Mapping[str, Any] | None = None, seed: int | None = None
    ) -> tuple[Mapping[str, Query], Judgments]:
        """Return queries and judgments; files take precedence over those of the dataset.

        Queries that are made from the collection (`made:300`) are drawn by `seed`.
        """
        from retriever.datasets.ir_datasets_loader import load_named
        from retriever.formats import read_mixed_queries, read_qrels

        if self.queries is None and self.dataset is None:
            raise click.UsageError(
                "Give --queries FILE, or --dataset NAME. Without queries of your own, have them "
                "made from the collection: --queries made:300."
            )
        if self.queries and is_made(self.queries):
            if self.qrels or self.dataset:
                raise click.UsageError("Made queries need no judgments: leave them out.")
            return self._made(self.queries, seed), None
        named = load_named(self.dataset) if self.dataset is not None else None
        texts: Mapping[str, Query] = named.queries if named else {}
        if self.queries:
            texts = read_mixed_queries(self.queries, **(columns or {}))
        judgments = read_qrels(self.qrels) if self.qrels else named.qrels if named else {}
        return texts, judgments or None

    def _made(self, queries: str, seed: int | None) -> Mapping[str, Query]:
        from retriever.collection import Collection
        from retriever.evaluation.significance import SEED
        from retriever.known_items.files import made_queries

        with Collection.open(self.library) as collection:
            what = queries.removeprefix(MADE)
            return made_queries(what, collection, SEED if seed is None else seed)


def is_made(queries: str) -> bool:
    """Return whether queries are to be made from the collection: `made:300`."""
    return queries.startswith(MADE)


def given_for(
    libraries: Sequence[Path],
    queries: Sequence[str],
    qrels: Sequence[str],
    datasets: Sequence[str],
) -> list[Given]:
    """Return what was given for each collection, in the order of the options."""
    options = {"--queries": queries, "--qrels": qrels, "--dataset": datasets}
    for name, values in options.items():
        if len(values) not in (0, len(libraries)):
            raise click.UsageError(
                f"{name} was given {'once' if len(values) == 1 else f'{len(values)} times'} for "
                f"{len(libraries)} collections; "
                "give it once for each, in their order."
            )
    columns: list[list[str | None]] = [
        [*values] or [None] * len(libraries) for values in options.values()
    ]
    return [Given(*one) for one in zip(*columns, libraries, strict=True)]


@dataclass(frozen=True)
class Tables:
    """Tables for a paper to write, as LaTeX and Markdown."""

    latex: Path | None
    markdown: Path | None

    @property
    def wanted(self) -> bool:
        """Whether any is."""
        return self.latex is not None or self.markdown is not None

    def check(self, inputs: Sequence[str | Path | None], libraries: Sequence[Path]) -> None:
        """Refuse files that cannot be written, or would overwrite an input, before long work."""
        check_writable(self.latex, self.markdown)
        for option, path in (("--latex", self.latex), ("--markdown", self.markdown)):
            if path is not None:
                keep_inputs(option, path, inputs, libraries)

    def write(self, result: Comparison | SeveralComparisons) -> None:
        """Write what was asked for."""
        from retriever.formats.writing import atomic_writer
        from retriever.report.paper.latex import latex
        from retriever.report.paper.markdown import markdown
        from retriever.report.paper.table import paper_table

        for path, draw in ((self.latex, latex), (self.markdown, markdown)):
            if path is not None:
                with atomic_writer(path) as file:
                    file.write(draw(paper_table(result)))
                note(f"wrote {path}")


def keep_apart(runs: Path, inputs: Sequence[str | Path | None]) -> None:
    """Refuse to overwrite an input with a run that was evaluated."""
    for path in (Path(one) for one in inputs if one is not None):
        if path.suffix == ".trec" and path.resolve().parent == runs.resolve():
            raise click.UsageError(f"--runs {runs} would overwrite {path}. Give another folder.")


def labels_of(libraries: Sequence[Path]) -> Iterator[str]:
    """Yield a name for each collection: that of its folder, or else its path as given."""
    names = [path.resolve().name for path in libraries]
    for path, name in zip(libraries, names, strict=True):
        yield name if names.count(name) == 1 else str(path)


def shared_indexes(libraries: Sequence[Path], indexes: Sequence[str]) -> list[str]:
    """Return the indexes to compare on every collection: those asked for, or else all it has.

    Raises:
        UnknownNameError: a collection does not have one that was asked for.
        InputError: none was asked for, and the collections have none in common.
    """
    from indexes.errors import InputError
    from retriever.collection import Collection

    shared = list(indexes)
    for number, path in enumerate(libraries):
        with Collection.open(path) as collection:
            has = collection.index_names()
            for name in indexes:
                collection.index_info(name)
        if not indexes:
            shared = [name for name in shared if name in has] if number else has
    if not shared:
        raise InputError("The collections have no index of the same name. Build one in each.")
    return shared
