"""`config`, `embedders`: what is set, and what can be set."""

from __future__ import annotations

from dataclasses import asdict

import click

from retriever.cli.completion import model_kinds
from retriever.cli.options import as_json
from retriever.cli.output import note, print_json, print_parts


@click.command(short_help="Show the settings that hold, and where each is from.")
@as_json
def config(as_json: bool) -> None:
    """Show the settings that hold, and where each is from.

    The command line is stronger than the environment (RETRIEVER_LIBRARY, _INDEX, _K, _FIELDS,
    _WIDTH, _PROGRESS, _COLOR, and options of embedders: RETRIEVER_STATIC_WEIGHTING), which is
    stronger than the file retriever.toml of the working folder or the nearest one above it, which
    is stronger than that of the user. An empty variable unsets a setting of the files.

    \b
      library = "library"                # where LIBRARY is left out
      index = "minilm"                   # search without -i; or a list
      [output]
      k = 5                              # search without -k
      fields = ["year", "source"]        # search without --fields
      width = 140                        # columns of tables and hits; else 100
      progress = false                   # no progress bars
      color = false                      # no colors
      [embedders.static]                 # build --embedder static:MODEL
      weighting = "sif"
      [embedders."contextual:all-MiniLM-L6-v2"]
      batch_size = 64
    """  # noqa: D301 - to click, a line of one backspace keeps the next lines as they are
    from indexes.errors import shown
    from retriever.cli.running.config_files import users_path, working_path
    from retriever.cli.running.embedder_options import check_options
    from retriever.cli.running.settings import read_settings, unknown_variables
    from retriever.report.terminal.fields import fields_table

    settings = read_settings()
    check_options(settings)
    if as_json:
        print_json(*(asdict(one) for one in settings))
    else:
        rows = [(one.name, _text(one.value), shown(one.source)) for one in settings]
        print_parts(fields_table(("setting", "value", "from"), rows) if rows else "no settings")
    note(*unknown_variables())
    if not as_json:
        working, users = working_path(), users_path()
        note(f"of this folder: {shown(working) if working else 'no retriever.toml'}")
        note(f"of the user: {users}{'' if users.is_file() else ', which does not exist'}")


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


@click.command(short_help="List the kinds of embedders, and the options of one.")
@click.argument("kind", required=False, shell_complete=model_kinds)
@as_json
def embedders(kind: str | None, as_json: bool) -> None:
    """List the kinds of models: embedders for `build --embedder KIND:MODEL`, and rerankers.

    Rerankers are for `build --rerank` and `search --rerank-by`. With KIND, list its options for
    `-o NAME VALUE`: the type, the default and what each does. They are also the arguments of its
    class in Python.
    """
    from retriever.embedders.registry import describe_embedder, describe_embedders
    from retriever.report.terminal.fields import fields_table
    from retriever.rerankers.registry import describe_rerankers

    embedders, rerankers = describe_embedders(), describe_rerankers()
    if kind is None:
        if as_json:
            print_json(*map(asdict, (*embedders, *rerankers)))
            return
        for heading, every in (("embedder", embedders), ("reranker", rerankers)):
            kinds = [(one.usage, one.help) for one in every]
            print_parts(fields_table(("kind", heading), kinds), "")
        note("options of one: retriever embedders KIND, such as: retriever embedders static")
        return
    # `static:glove-6b-50d` is how it is written for `build`.
    name = kind.partition(":")[0]
    reranker = next((one for one in rerankers if one.kind == name), None)
    described = reranker or describe_embedder(name)
    if as_json:
        print_json(asdict(described))
        return
    rows = [(o.name, o.type, o.default, o.help) for o in described.options]
    print_parts(f"{described.usage}  {described.help}\n")
    print_parts(fields_table(("option", "type", "default", ""), rows))
    use = "search LIBRARY QUERY --rerank-by" if reranker else "build LIBRARY NAME --embedder"
    note(f"set one with: retriever {use} {described.usage} -o NAME VALUE")
