"""`demo`: a complete comparison on real data."""

from __future__ import annotations

from pathlib import Path

import click

from retriever.advice import shell_command
from retriever.cli.output import note, print_parts, progress_bar

CONTRASTS = 2


@click.command(short_help="Index 350 news stories in three ways and compare the results.")
@click.argument(
    "folder", default="retriever-demo", type=click.Path(path_type=Path, file_okay=False)
)
def demo(folder: Path) -> None:
    """Index 350 news stories in three ways, compare the results, and show where they differ.

    The stories, and human similarity ratings of 50 of them, come with gensim (Lee, Pincombe and
    Welsh 2005). FOLDER is kept for further experiments. Requires: pip install
    'retriever-compare[demo]'.
    """
    from retriever.datasets.demo import CONTEXTUAL, STATIC, prepare
    from retriever.report.terminal.comparison import comparison_tables
    from retriever.report.terminal.contrasts import contrast_lines

    note("350 news stories; 50 of them rated by people; BM25, averaged GloVe, MiniLM")
    result = prepare(folder, progress_bar)
    print_parts(*comparison_tables(result.comparison))
    note(*result.comparison.notes)
    print_parts(*contrast_lines(result.comparison, CONTRASTS, (STATIC, CONTEXTUAL)))
    print_parts(f"\nTry next, on {result.library}/:")
    qrels = "--qrels", str(result.qrels)
    for command, *words in (
        ("search", "a plane crash in the mountains", "-i", "glove", "-i", "minilm", "-k", "5"),
        ("build", "hybrid", "--fuse", "bm25", "--fuse", "minilm"),
        ("compare", "--queries", str(result.queries), *qrels, "--drop-self"),
        ("info",),
    ):
        print_parts(f"  {shell_command(command, result.library, *words)}")
