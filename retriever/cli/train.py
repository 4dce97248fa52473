"""`train`: train word vectors on a collection and build an index with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retriever.cli.options import as_json, embedder_options, library, no_index, training_seed
from retriever.cli.output import note, print_json, progress_bar

if TYPE_CHECKING:
    from retriever.training.word_vectors import TrainReport


@click.command(short_help="Train word vectors on a collection and build an index with them.")
@click.argument("kind", metavar="KIND")
@library
@click.argument("name")
@click.option("--dim", type=int, default=100, show_default=True, help="Dimension of the vectors.")
@click.option(
    "--epochs",
    type=int,
    help="Passes over the texts. Default: 5, and up to 40 below 10 million words; glove: 15 over "
    "the counts.",
)
@click.option("--window", type=int, help="Context words on each side. Default: 5; glove: 10.")
@click.option("--min-count", type=int, default=5, show_default=True, help="Ignore rarer words.")
@click.option("--max-vocab", type=int, help="Keep only this many words, the most frequent.")
@training_seed
@click.option(
    "--workers",
    type=int,
    help="Threads of word2vec and fasttext. Default: all cores; only 1 is reproducible.",
)
@click.option(
    "--cbow",
    is_flag=True,
    help="word2vec, fasttext: predict a word from the mean of its context. Default: skip-gram.",
)
@click.option(
    "--x-max",
    type=float,
    help="glove: count from which all pairs have weight 1. Default: 10, or 100 from 10^8 words.",
)
@click.option(
    "--buckets", type=int, help="fasttext: hash buckets of n-grams of 3 to 6. Default: 200,000."
)
@embedder_options("weighting sif")
@no_index
@click.option(
    "--analogies",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Analogies to evaluate on: lines of four words. Default: questions-words.txt of gensim.",
)
@click.option(
    "--similarities",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Similarity ratings to evaluate on: lines of two words and a number. Default: "
    "WordSim-353, SimLex-999.",
)
@as_json
def train(
    library: Path,
    kind: str,
    name: str,
    dim: int,
    epochs: int | None,
    window: int | None,
    min_count: int,
    max_vocab: int | None,
    seed: int,
    workers: int | None,
    cbow: bool,
    x_max: float | None,
    buckets: int | None,
    options: tuple[tuple[str, str], ...],
    no_index: bool,
    analogies: Path | None,
    similarities: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Train word vectors of a KIND (word2vec, fasttext, glove) on the collection LIBRARY, and build
    the index NAME with them.

    The vectors are saved in LIBRARY/models/NAME in word2vec format. Run an interrupted training
    again to resume it after its last complete epoch.
    """
    from retriever.collection import Collection
    from retriever.records import train_record
    from retriever.training.word_vectors import train as train_on

    with Collection.open(library) as collection:
        report = train_on(
            collection,
            kind,
            name,
            dim=dim,
            epochs=epochs,
            window=window,
            min_count=min_count,
            max_vocab=max_vocab,
            seed=seed,
            workers=workers,
            cbow=cbow,
            x_max=x_max,
            buckets=buckets,
            build=not no_index,
            options=dict(options),
            analogies=analogies,
            similarities=similarities or None,
            stages=progress_bar,
        )
    if as_json:
        print_json(train_record(report))
    else:
        click.echo("\n".join(_summary(report)))
    if not report.repeatable:
        note("several threads: results vary slightly between runs; --workers 1 is reproducible")


def _summary(report: TrainReport) -> list[str]:
    from indexes.errors import pluralize, shown

    words = pluralize(report.vocabulary, "word")
    tokens = pluralize(report.words, "occurrence")
    took = ", exist already"
    if not report.already:
        speed = f", {report.words_per_second:,.0f} words/s" if report.words_per_second else ""
        took = f" in {report.seconds:.1f} s{speed}"
    lines = [f"{report.name}: {words} learned from {tokens}{took}: {shown(report.path)}"]
    lines += [f"  {score}" for score in report.scores]
    if report.build:
        embedded = pluralize(report.build.embedded, "passage")
        lines.append(f"index {report.name}: {embedded} embedded")
    return lines
