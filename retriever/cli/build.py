"""`build`: build or update an index of vectors or words, or a combination of indexes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retriever.cli.combinations import Combination, Escalation
from retriever.cli.completion import embedder_specs, fusion_methods, languages, similarities
from retriever.cli.options import (
    POSITIVE,
    as_json,
    embedder_options,
    index_option,
    library,
    recall,
    workers,
)
from retriever.cli.output import SETTINGS, note, print_json, progress_bar
from retriever.cli.update import build_all

if TYPE_CHECKING:
    from retriever.embedders import Embedder
    from retriever.indexing.info import IndexInfo
    from retriever.indexing.reports import BuildReport


@click.command(short_help="Build or update an index, a fusion, or a reranking.")
@library
@click.argument("name", required=False)
@click.option("--all", "all_", is_flag=True, help="Bring every index up to date.")
@click.option(
    "--embedder",
    "spec",
    metavar="KIND:MODEL",
    shell_complete=embedder_specs,
    help="static:MODEL, contextual:MODEL, elmo:FOLDER, hashing; see `retriever embedders`.",
)
@embedder_options("batch_size 64")
@index_option("--vectors", help="Share the vectors of this index; nothing is embedded.")
@index_option(
    "--queries-by",
    metavar="NAME",
    help="With --vectors: encode queries with the model NAME, distilled from that of the vectors. "
    "With --from-vectors: with the model KIND:MODEL, that made them.",
)
@click.option(
    "--from-vectors",
    "source",
    metavar="FILE",
    help="Take vectors that were made elsewhere: .npy (ids in .ids.txt), .npz, .parquet, a folder.",
)
@click.option(
    "--similarity",
    shell_complete=similarities,
    help="For --from-vectors: cosine (default), dot or euclidean.",
)
@click.option(
    "--allow-missing",
    is_flag=True,
    help="For --from-vectors: leave out documents without a vector.",
)
@click.option(
    "--ann",
    metavar="auto|exact|FACTORY",
    help="How vectors are searched: auto (default), by their number: exactly, or for many through "
    "a structure; exact; or a FAISS factory string, such as HNSW32 or IVF256,SQ8.",
)
@click.option(
    "--engine",
    metavar="milvus:URI",
    help="Let a server hold the structure, such as milvus:http://10.0.0.1:19530; options of the "
    "index with -o: index_type HNSW, M 16, ef 128.",
)
@recall("Share of the 10 nearest that a structure has to find. Default with auto: 0.98.")
@workers("Embed, fit, and fill a large structure with")
@click.option(
    "--refit",
    is_flag=True,
    help="Refit the embedder on the current documents and embed all of them again.",
)
@click.option(
    "--lexical", is_flag=True, help="Build a BM25 index of the words, without an embedder."
)
@click.option(
    "--language",
    shell_complete=languages,
    help="For --lexical: language of the stemmer, or none. Default: english.",
)
@click.option(
    "--stopwords/--no-stopwords",
    default=None,
    help="For --lexical: leave out the stop words of the language. Default: keep them.",
)
@click.option("--k1", type=float, help="For --lexical: k1 of BM25, from 0 to 100. Default: 1.2.")
@click.option("--b", type=float, help="For --lexical: b of BM25, from 0 to 1. Default: 0.75.")
@index_option(
    "--fuse",
    "fused",
    multiple=True,
    metavar="INDEX[=WEIGHT]",
    help="Fuse the results of this index with those of others; give it twice or more.",
)
@click.option(
    "--method",
    shell_complete=fusion_methods,
    help="For --fuse: rrf, reciprocal rank fusion (default); minmax, the mean of the scaled scores "
    "of each list; or convex, with the exact scores of all that any index found.",
)
@click.option("--rrf-k", type=float, help="For --method rrf: the k of 1 / (k + rank). Default: 60.")
@index_option("--cascade", "first", help="Rerank: find candidates with this index.")
@index_option(
    "--rerank",
    "second",
    metavar="INDEX|MODEL",
    help="For --cascade: rank the candidates by the stored vectors of this index, or by a model "
    "that reads each with the query: cross-encoder:MODEL, late-interaction:MODEL, vilbert:FOLDER "
    "(with -o).",
)
@index_option(
    "--escalate",
    "cheap",
    help="Answer by this fusion (--method minmax or convex) where its best document is well ahead "
    "of the next one, and the other queries by --to.",
)
@index_option("--to", "expensive", help="For --escalate: the index that answers the others.")
@click.option(
    "--margin",
    type=float,
    help="For --escalate: how far ahead, of at most 1. A higher one escalates more. Default: 0.15.",
)
@click.option(
    "--depth",
    type=POSITIVE,
    help="For --fuse and --cascade: documents to fetch from each part. Default: 100.",
)
@as_json
@click.pass_context
def build(
    ctx: click.Context,
    library: Path,
    name: str | None,
    all_: bool,
    spec: str | None,
    options: tuple[tuple[str, str], ...],
    vectors: str | None,
    queries_by: str | None,
    source: str | None,
    similarity: str | None,
    allow_missing: bool,
    ann: str | None,
    engine: str | None,
    recall: float | None,
    workers: str | None,
    refit: bool,
    lexical: bool,
    language: str | None,
    stopwords: bool | None,
    k1: float | None,
    b: float | None,
    fused: tuple[str, ...],
    method: str | None,
    rrf_k: float | None,
    first: str | None,
    second: str | None,
    cheap: str | None,
    expensive: str | None,
    margin: float | None,
    depth: int | None,
    as_json: bool,
) -> None:
    """Build the index NAME of the collection LIBRARY, or update it.

    A model is looked up as a path, then among installed packages, then on its usual hub. Only
    documents that the index lacks are embedded; run an interrupted build again to resume it. A
    fusion, cascade (reranking) or escalation of indexes is named and used like an index.

    --all brings every index up to date; the failure of one does not stop the others. It exits with
    0 if all are, with 3 if only single documents could not be embedded, and with 1 otherwise.
    """
    from indexes.errors import FailedTextsError, pluralize
    from retriever.collection import Collection
    from retriever.indexing.notes import index_notes
    from retriever.records import build_record

    escalation = Escalation(cheap, expensive, margin)
    combination = Combination(fused, method, rrf_k, first, second, depth, options, escalation)
    words = {"language": language, "stopwords": stopwords, "k1": k1, "b": b}
    given = [one for one in words.values() if one is not None]
    combination.check(
        spec, vectors, queries_by, ann, recall, refit, lexical, given, source, workers, engine
    )
    if source is None and (similarity is not None or allow_missing):
        raise click.UsageError("--similarity and --allow-missing need --from-vectors.")
    if all_:
        others = (name, spec, vectors, queries_by, ann, recall, refit, lexical, language, options)
        if combination or source is not None or workers or engine or any(others):
            raise click.UsageError("--all updates every index: omit NAME and other options.")
        ctx.exit(build_all(library, as_json))
    if name is None:
        raise click.UsageError("Name an index to build, or give --all.")
    with Collection.open(library) as collection:
        try:
            if combination:
                report = combination.build(collection, name)
            else:
                # A name without a colon may be that of an index, without options.
                declared = queries_by if source and queries_by and ":" in queries_by else None
                # The storage type is an option of the index, not of the embedder.
                chosen = _with_settings(declared or spec, options)
                with progress_bar(f"building {name}") as progress:
                    remote = engine is not None and spec is None
                    own = None if remote else _embedder(declared or spec, chosen)
                    report = collection.build(
                        name,
                        None if declared else own,
                        vectors=vectors,
                        lexical=lexical,
                        ann=ann,
                        recall=recall,
                        dtype=chosen.get("dtype"),
                        language=language,
                        stopwords=stopwords,
                        k1=k1,
                        b=b,
                        queries_by=own if declared else queries_by,
                        refit=refit,
                        from_vectors=source,
                        similarity=similarity,
                        allow_missing=allow_missing,
                        workers=workers,
                        engine=engine,
                        options=dict(options) if remote else None,
                        progress=progress,
                    )
        except FailedTextsError as error:
            if as_json:
                print_json(build_record(error.report, error.failed))
            raise
        index, several = collection.index_info(name), collection.has_several_passages
    if as_json:
        print_json(build_record(report))
    else:
        click.echo(_summary(report, index, "passage" if several else "document"))
    if report.fitted_texts is not None:
        note(f"{index.model} was fitted on {report.fitted_texts:,} of the corpus's passages")
    if report.text.coverage is not None:
        note(f"{index.model} knows {100 * report.text.coverage:.1f} % of the corpus's words")
    if report.text.guessed:
        guessed = f"{100 * report.text.guessed:.1f} % of the corpus's words from their letters"
        note(f"{index.model} guesses {guessed}")
    if report.read.padding is not None:
        tokens = pluralize(report.read.tokens, "token")
        note(f"{index.model} read {tokens}, {100 * report.read.padding:.1f} % padding")
    note(*report.notes, *index_notes(index, library, split=several))


def _with_settings(spec: str | None, given: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the options given, and those of the settings that are not given; say the latter."""
    settings = click.get_current_context().meta.get(SETTINGS)
    if spec is None or settings is None:
        return dict(given)
    from indexes.errors import shown
    from retriever.cli.running.embedder_options import checked_options

    options: dict[str, Any] = dict(given)
    for name, one in checked_options(settings, spec).items():
        if name not in options:
            options[name] = one.value
            note(f"{name} is {one.value} ({shown(one.source)})")
    return options


def _embedder(spec: str | None, options: Mapping[str, Any]) -> Embedder | None:
    """Load the embedder of `--embedder` with the options that are its own; None without one."""
    from retriever.embedders import load_embedder, parse_spec

    own = {option: value for option, value in options.items() if option != "dtype"}
    if own and spec is None:
        raise click.UsageError("-o sets embedder options: give --embedder KIND:MODEL with it.")
    return load_embedder(parse_spec(spec, own)) if spec else None


def _summary(report: BuildReport, index: IndexInfo, noun: str) -> str:
    from indexes.catalog.records import IMPORTED, kind_of
    from indexes.errors import pluralize

    if index.parts and not report.embedded:
        return f"{report.name}: {index.embedder}; nothing to build"
    took = f"indexed in {report.indexing_seconds:.2f} s"
    if kind_of(index.kind).is_lexical:
        return f"{report.name}: {pluralize(report.already, noun)} read, {took}"
    embedded = pluralize(report.embedded, noun)
    if index.embedder.startswith(f"{IMPORTED}:"):
        before = f"{report.already:,} had one before"
        return f"{report.name}: vectors of {embedded} imported, {before}, {took}"
    return (
        f"{report.name}: {embedded} embedded in {report.embedding_seconds:.1f} s, "
        f"{report.already:,} already in the index, {took}"
    )
