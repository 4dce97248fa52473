"""Arguments and options shared by commands."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from retriever.cli.completion import measure_names, model_option, reranker_specs
from retriever.cli.output import SETTINGS
from retriever.cli.running.arguments import is_collection

Function = Callable[..., Any]
Option = Callable[[Function], Function]

POSITIVE = click.IntRange(min=1)

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
library = click.argument("library", type=click.Path(path_type=Path))


def _filter(_: click.Context, __: click.Parameter, text: str | None) -> dict[str, Any] | None:
    from retriever.search.where_parser import parse_where

    return None if text is None else parse_where(text)


where = click.option(
    "--where",
    metavar="FILTER",
    callback=_filter,
    help="Only documents with matching metadata, such as 'year >= 2020 and source = faq'. Dots "
    'lead into nested objects (author.name); a name in quotes is one field ("author.name").',
)


def index_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Complete index names of the collection given before."""
    from indexes.errors import RetrieverError
    from retriever.collection import Collection

    # After an option without its value, click leaves the arguments unparsed.
    given = ctx.params.get("library") or next(iter(ctx.args), None)
    # `compare` takes several.
    place = given[0] if isinstance(given, tuple) else given
    if place is None or not is_collection(place):
        settings = ctx.meta.get(SETTINGS)
        place = settings.library if settings else None
    if place is None:
        return []
    try:
        with Collection.open(Path(place).expanduser()) as collection:
            names = collection.index_names()
    except (RetrieverError, OSError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def index_option(*names: str, metavar: str = "INDEX", **options: Any) -> Option:
    """Return an option that takes an index name."""
    return click.option(*names, metavar=metavar, shell_complete=index_names, **options)


def indexes(says: str) -> Option:
    """Return the repeatable option `-i`."""
    names = "-i", "--index", "indexes"
    return index_option(*names, metavar="TEXT", multiple=True, help=says, callback=_one_by_one)


def _one_by_one(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse several names in one text, which cannot be the name of an index."""
    for name in names:
        if "," in name:
            each = " ".join(f"-i {one.strip()}" for one in name.split(",") if one.strip())
            raise click.UsageError(f"Give -i once for each index: {each}")
    return names


def how_many(says: str) -> Option:
    """Return the option `-k`."""
    return click.option("-k", default=10, show_default=True, type=POSITIVE, help=says)


def recall(says: str, default: float | None = None) -> Option:
    """Return the option `--recall`."""
    share = click.FloatRange(0, 1, min_open=True)
    return click.option("--recall", type=share, default=default, help=says)


def workers(what: str) -> Option:
    """Return the option `--workers`; `what` says what they do."""
    says = f"{what} N processes, or the machines of a Ray cluster: ray starts one here."
    return click.option("--workers", metavar="N|ray[:ADDRESS]", help=says)


def qrels(says: str = "", *, required: bool = False, multiple: bool = False) -> Option:
    """Return the option `--qrels`."""
    says = f"Judgments: BEIR TSV, TREC qrels, CSV, or a filled-in label file.{says}"
    return click.option("--qrels", metavar="FILE", required=required, multiple=multiple, help=says)


def rerank_by(says: str = "") -> Option:
    """Return the options `--rerank-by`, `-o` for that model, and `--rerank-depth`."""

    def all_three(command: Function) -> Function:
        deep = click.option(
            "--rerank-depth",
            type=POSITIVE,
            default=100,
            show_default=True,
            help="For --rerank-by: how many documents of each query the model reads.",
        )
        by = click.option(
            "--rerank-by",
            metavar="KIND:MODEL",
            shell_complete=reranker_specs,
            help="Let a model that reads each hit with the query rank the best ones: "
            "cross-encoder:MODEL, late-interaction:MODEL or vilbert:FOLDER. "
            f"Nothing is stored.{says}",
        )
        own = _model_options(
            "For --rerank-by: option of the model, such as -o max_length 128; "
            "`retriever embedders cross-encoder` lists them.",
            "rerank_options",
        )
        return by(own(deep(command)))

    return all_three


def check_reranker(by: str | None, own: Sequence[tuple[str, str]]) -> None:
    """Refuse what is of a reranker where there is none."""
    if by is not None:
        return
    if own:
        raise click.UsageError(
            "-o sets options of a reranker: give --rerank-by KIND:MODEL with it."
        )
    depth = click.get_current_context().get_parameter_source("rerank_depth")
    if depth is ParameterSource.COMMANDLINE:
        raise click.UsageError(
            "--rerank-depth is for a reranker: give --rerank-by KIND:MODEL with it."
        )


def measures(says: str = "") -> Option:
    """Return the repeatable option `-m`."""
    says = f"Measure by its ir_measures name, such as nDCG@10, R@100, AP@100.{says}"
    names = "-m", "--measure", "measures"
    return click.option(*names, multiple=True, shell_complete=measure_names, help=says)


def as_csv(says: str) -> Option:
    """Return the option `--csv`."""
    return click.option("--csv", "as_csv", is_flag=True, help=f"Print CSV, {says}.")


def embedder_options(example: str) -> Option:
    """Return the repeatable option `-o NAME VALUE` of an embedder."""
    return _model_options(
        f"Option of the model, such as -o {example}; or -o dtype float16. "
        "`retriever embedders KIND` lists them."
    )


def _model_options(says: str, name: str = "options") -> Option:
    return click.option(
        "-o",
        "--option",
        name,
        nargs=2,
        multiple=True,
        metavar="NAME VALUE",
        shell_complete=model_option,
        help=says,
    )


def _mapping(name: str, parts: Mapping[str, Option]) -> Option:
    """Return options as one that passes their values as a mapping, by the parameters' names."""

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def gather(**given: Any) -> Any:
            return function(**{name: {one: given.pop(one) for one in parts}}, **given)

        made: Function = gather
        for option in reversed(list(parts.values())):
            made = option(made)
        return made

    return decorate


# By the names that `Collection.add` has for them.
_READING: dict[str, Option] = {
    "id": click.option("--id", metavar="COLUMN", help="The column or field of the ids."),
    "title": click.option("--title", metavar="COLUMN", help="The column or field of the titles."),
    "text": click.option(
        "--text",
        multiple=True,
        metavar="COLUMN",
        help="The column or field of the texts; several are joined by blank lines, in this order.",
    ),
    "types": click.option(
        "--types",
        type=click.Choice(["auto", "text"]),
        help="auto: a column of CSV or TSV with only numbers, booleans or dates is read as these, "
        "so that 'year >= 2020' works. Default: text.",
    ),
    "sheet": click.option(
        "--sheet", metavar="NAME", help="The sheet of an .xlsx file. Default: the first."
    ),
    "table": click.option("--table", metavar="NAME", help="The table of an SQLite database."),
    "sql": click.option(
        "--sql", metavar="QUERY", help="What to read of an SQLite database: 'SELECT ...'."
    ),
}
_QUERY_COLUMNS: dict[str, Option] = {
    "id": click.option(
        "--query-id", "id", metavar="COLUMN", help="The column of the ids in --queries."
    ),
    "text": click.option(
        "--query-text",
        "text",
        multiple=True,
        metavar="COLUMN",
        help="The column of the texts in --queries; several are joined by blank lines.",
    ),
    **{
        name: click.option(f"--{name}", metavar=metavar, help=f"Of --queries: {says}")
        for name, metavar, says in (
            ("sheet", "NAME", "the sheet of an .xlsx file. Default: the first."),
            ("table", "NAME", "the table of an SQLite database."),
            ("sql", "QUERY", "what to read of an SQLite database: 'SELECT ...'."),
        )
    },
}
FORMATS = (
    *("jsonl", "json", "csv", "tsv", "parquet", "xlsx", "sqlite"),
    *("text", "markdown", "html", "pdf", "docx", "image"),
)


def source_format(name: str = "format") -> Option:
    """Return the option `--format`, for a parameter of a name."""
    kinds = click.Choice(FORMATS)
    return click.option("--format", name, type=kinds, help="Format of the sources.")


_FILES: dict[str, Option] = {
    "format": source_format(),
    "image": click.option(
        "--image",
        metavar="FIELD",
        help="The field with the path of a document's image, relative to the file.",
    ),
    "copy_images": click.option("--copy-images", is_flag=True, help="Copy images into LIBRARY."),
}
# What sources are, as the mapping `files`; how their tables are read, as `reading`; and the columns
# of queries, as `columns`.
files = _mapping("files", _FILES)
reading = _mapping("reading", _READING)
query_columns = _mapping("columns", _QUERY_COLUMNS)


def check_query_columns(columns: Mapping[str, Any], queries: object) -> None:
    """Refuse options for tables of queries without a file of them."""
    if not queries and any(columns.values()):
        raise click.UsageError(
            "--query-id, --query-text, --sheet, --table and --sql are for --queries FILE."
        )


drop_self = click.option(
    "--drop-self",
    is_flag=True,
    help="Drop hits with the query's own id: for queries that are documents.",
)
training_seed = click.option("--seed", type=int, default=1, show_default=True, help="Random seed.")
no_index = click.option(
    "--no-index", is_flag=True, help="Only save the model; do not build an index."
)
