"""`build`: an index of vectors or words, a combination of indexes; or one brought up to date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retriever.cli.options import as_json, index_names, library
from retriever.cli.output import note, print_json, progress_bar

if TYPE_CHECKING:
    from indexes.errors import FailedText
    from indexes.progress import Progress
    from retriever.collection import Collection
    from retriever.indexing.info import BuildReport, IndexInfo


@click.command()
@library
@click.argument("name")
@click.option(
    "--embedder",
    "spec",
    metavar="KIND:MODEL",
    help="static:MODEL, contextual:MODEL, elmo:FOLDER, hashing.",
)
@click.option(
    "-o",
    "--option",
    "options",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="An option of the embedder, such as -o batch_size 64; or -o dtype float16.",
)
@click.option(
    "--vectors",
    metavar="INDEX",
    shell_complete=index_names,
    help="Share the vectors of that index; nothing is embedded again.",
)
@click.option(
    "--queries-by",
    metavar="NAME",
    shell_complete=index_names,
    help="With --vectors: encode queries by the model NAME, distilled from the one of the vectors.",
)
@click.option(
    "--ann",
    metavar="FACTORY",
    help="A FAISS factory string, such as HNSW32 or IVF256,SQ8. Default: exact search.",
)
@click.option(
    "--refit",
    is_flag=True,
    help="Fit the index's embedder anew on the documents that are there, and embed all again.",
)
@click.option("--lexical", is_flag=True, help="BM25 over the words of the texts; no embedder.")
@click.option("--language", help="For --lexical: whose stems. Default: english; none: no stems.")
@click.option(
    "--fuse",
    "fused",
    multiple=True,
    metavar="INDEX[=WEIGHT]",
    shell_complete=index_names,
    help="Fuse the answers of these indexes; give it twice or more.",
)
@click.option(
    "--method",
    help="For --fuse: rrf, reciprocal rank (default), or minmax, the mean of scaled scores.",
)
@click.option("--rrf-k", type=float, help="For --method rrf: the k of 1 / (k + rank). Default: 60.")
@click.option(
    "--cascade",
    "first",
    metavar="INDEX",
    shell_complete=index_names,
    help="Let this index find candidates ...",
)
@click.option(
    "--rerank",
    "second",
    metavar="INDEX",
    shell_complete=index_names,
    help="... and this one rank exactly those, from its stored vectors.",
)
@click.option(
    "--depth",
    type=click.IntRange(min=1),
    help="For --fuse and --cascade: how many documents each part is asked for. Default: 100.",
)
@as_json
def build(
    library: Path,
    name: str,
    spec: str | None,
    options: tuple[tuple[str, str], ...],
    vectors: str | None,
    queries_by: str | None,
    ann: str | None,
    refit: bool,
    lexical: bool,
    language: str | None,
    fused: tuple[str, ...],
    method: str | None,
    rrf_k: float | None,
    first: str | None,
    second: str | None,
    depth: int | None,
    as_json: bool,
) -> None:
    """Build the index NAME over the collection LIBRARY, or bring it up to date.

    A model is looked up as a path, then among installed packages, then on its usual hub. Only
    documents that the index lacks are embedded; an interrupted build goes on when run again. A
    fusion or a cascade of indexes is named like an index, and used like one.
    """
    from indexes.errors import FailedTextsError
    from retriever.collection import Collection
    from retriever.formatting import many
    from retriever.indexing.info import index_notes

    combination = _Combination(fused, method, rrf_k, first, second, depth)
    combination.check(spec, options, vectors, queries_by, ann, refit, lexical, language)
    with Collection.open(library) as collection:
        try:
            if combination:
                report = combination.build(collection, name)
            else:
                with progress_bar(f"building {name}") as progress:
                    own = _Own(
                        spec, dict(options), vectors, queries_by, ann, refit, lexical, language
                    )
                    report = own.build(collection, name, progress)
        except FailedTextsError as error:
            if as_json:
                print_json(_as_json(error.report, error.failed))
            raise
        index, split = collection.index_info(name), collection.split
    if as_json:
        print_json(_as_json(report))
    else:
        click.echo(_told(report, index, "passage" if split else "document"))
    if report.fitted_texts is not None:
        note(f"{index.model} was fitted on {report.fitted_texts:,} of the corpus's texts")
    if report.text.coverage is not None:
        note(f"{index.model} knows {100 * report.text.coverage:.1f} % of the corpus's words")
    if report.read.padding is not None:
        note(
            f"{index.model} read {many(report.read.tokens, 'token', 'tokens')}, "
            f"{100 * report.read.padding:.1f} % padding"
        )
    for text in (*report.notes, *index_notes(index, library, split=split is not None)):
        note(text)


@dataclass(frozen=True)
class _Own:
    """The options of an index of its own."""

    spec: str | None
    options: dict[str, str]
    vectors: str | None
    queries_by: str | None
    ann: str | None
    refit: bool
    lexical: bool
    language: str | None

    def build(self, collection: Collection, name: str, progress: Progress) -> BuildReport:
        from retriever.embedders import load_embedder, parse_spec

        options = dict(self.options)
        # How vectors are stored is no matter of the embedder's.
        dtype = options.pop("dtype", None)
        if options and self.spec is None:
            raise click.UsageError("-o belongs to an embedder: give --embedder KIND:MODEL with it.")
        return collection.build(
            name,
            load_embedder(parse_spec(self.spec, options)) if self.spec else None,
            vectors=self.vectors,
            lexical=self.lexical,
            ann=self.ann,
            dtype=dtype,
            language=self.language,
            queries_by=self.queries_by,
            refit=self.refit,
            progress=progress,
        )


@dataclass(frozen=True)
class _Combination:
    """The options of a fusion or a cascade; true where there are any."""

    fused: tuple[str, ...]
    method: str | None
    rrf_k: float | None
    first: str | None
    second: str | None
    depth: int | None

    def __bool__(self) -> bool:
        return bool(self.fused) or self.first is not None or self.second is not None

    def check(self, *others: object) -> None:
        """Refuse options that do not belong together."""
        own = (self.method, self.rrf_k, self.depth)
        if not self and own != (None,) * 3:
            raise click.UsageError("--method, --rrf-k and --depth belong to --fuse or --cascade.")
        if self and any(others):
            raise click.UsageError("--fuse and --cascade are of indexes that there are: no others.")
        if (self.first is None) != (self.second is None):
            raise click.UsageError("A cascade needs both: --cascade FIRST --rerank SECOND.")
        cascade = self.first is not None
        if cascade and (self.fused or (self.method, self.rrf_k) != (None, None)):
            raise click.UsageError("A combination is either --fuse or --cascade.")

    def build(self, collection: Collection, name: str) -> BuildReport:
        from retriever.search.fusion import DEPTH, RRF, RRF_K

        depth = self.depth or DEPTH
        if self.first is not None and self.second is not None:
            return collection.cascade(name, self.first, self.second, depth=depth)
        names, weights = zip(*map(_part, self.fused), strict=True)
        method = RRF if self.method is None else self.method
        rrf_k = RRF_K if self.rrf_k is None else self.rrf_k
        return collection.fuse(
            name, names, method=method, weights=weights, rrf_k=rrf_k, depth=depth
        )


def _part(text: str) -> tuple[str, float]:
    """An index and its weight: `bm25` or `bm25=0.3`."""
    name, weighs, weight = text.partition("=")
    try:
        return name, float(weight) if weighs else 1.0
    except ValueError:
        raise click.UsageError(f"The weight in --fuse {text} is no number.") from None


def _as_json(report: BuildReport, failed: Sequence[FailedText] = ()) -> dict[str, Any]:
    """The report with the documents that could not be embedded."""
    return {**asdict(report), "failed": [asdict(text) for text in failed]}


def _told(report: BuildReport, index: IndexInfo, noun: str) -> str:
    from indexes.catalog.kinds import kind_of
    from retriever.formatting import many

    kind = kind_of(index.kind)
    if kind.is_combined and not report.embedded:
        return f"{report.name}: {index.embedder}; nothing of its own to build"
    took = f"indexed in {report.indexing_seconds:.2f} s"
    if kind.is_lexical:
        return f"{report.name}: {many(report.already, noun, f'{noun}s')} read, {took}"
    embedded = many(report.embedded, noun, f"{noun}s")
    return (
        f"{report.name}: {embedded} embedded in {report.embedding_seconds:.1f} s, "
        f"{report.already:,} there already, {took}"
    )
