"""`train`: word vectors made from a collection's own texts, and an index over them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retriever.cli.options import as_json, library
from retriever.cli.output import note, print_json, progress_bar

if TYPE_CHECKING:
    from retriever.training.word_vectors import TrainReport


@click.command()
@click.argument("kind", metavar="KIND")
@library
@click.argument("name")
@click.option("--dim", type=int, default=100, show_default=True, help="The width of the vectors.")
@click.option(
    "--epochs",
    type=int,
    help="Times through the texts. Default: 5, and up to 40 where they have less than 10 million "
    "words; glove: 15 through its counts.",
)
@click.option(
    "--window", type=int, help="Words to each side that are a context. Default: 5; glove: 10."
)
@click.option(
    "--min-count", type=int, default=5, show_default=True, help="Leave out words that are rarer."
)
@click.option("--max-vocab", type=int, help="Keep only so many words, the most frequent.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of all random numbers.")
@click.option(
    "--workers",
    type=int,
    help="Threads of word2vec and fasttext. Default: all cores; only 1 is repeatable.",
)
@click.option(
    "--cbow",
    is_flag=True,
    help="word2vec, fasttext: a word from the mean of its context. Default: skip-gram.",
)
@click.option(
    "--x-max",
    type=float,
    help="glove: the count from which all pairs weigh alike. Default: 10; 100 from 10^8 words on.",
)
@click.option(
    "--buckets", type=int, help="fasttext: vectors that n-grams of 3 to 6 share. Default: 200,000."
)
@click.option(
    "-o",
    "--option",
    "options",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="An option of the index's embedder, such as -o weighting sif; or -o dtype float16.",
)
@click.option("--no-index", is_flag=True, help="Only train; build no index over the vectors.")
@click.option(
    "--analogies",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Score by these: lines of four words. Default: the questions-words.txt of gensim.",
)
@click.option(
    "--similarities",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Score by these: lines of two words and a rating. Default: WordSim-353 and SimLex-999.",
)
@as_json
def train(
    kind: str,
    library: Path,
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
    the index NAME over them.

    The vectors stay in LIBRARY/models/NAME, in the format of word2vec: anyone's tools read them. An
    interrupted training goes on after its last whole epoch when run again.
    """
    from retriever.collection import Collection
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
        print_json({**asdict(report), "words_per_second": report.words_per_second})
    else:
        for line in _told(report):
            click.echo(line)
    if not report.repeatable:
        note("several threads: another run gives slightly other vectors; --workers 1 repeats")


def _told(report: TrainReport) -> list[str]:
    from retriever.formatting import many

    words = many(report.vocabulary, "word", "words")
    learnt = f"{report.name}: {words} learnt from {many(report.words, 'occurrence', 'occurrences')}"
    if report.already:
        lines = [f"{learnt}, there already: {report.path}"]
    else:
        speed = f", {report.words_per_second:,.0f} words/s" if report.words_per_second else ""
        lines = [f"{learnt} in {report.seconds:.1f} s{speed}: {report.path}"]
    lines += [f"  {score}" for score in report.scores]
    if report.build:
        embedded = many(report.build.embedded, "passage", "passages")
        lines.append(f"index {report.name}: {embedded} embedded")
    return lines
