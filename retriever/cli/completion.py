"""`completion`: print the shell script that completes commands, options, and their values.

The functions here return values to complete. They run at each press of the key: names that change
seldom are written down, with a test that compares them, and nothing loads a model library.
"""

from __future__ import annotations

from collections.abc import Sequence

import click
from click.shell_completion import get_completion_class

from retriever.cli.output import TYPED
from retriever.cli.running.settings import EMBEDDERS

METHODS = ("rrf", "minmax", "convex")
RERANKERS = ("cross-encoder", "late-interaction", "vilbert")
# The families of ir_measures that people use, at their usual cutoffs.
FAMILIES, CUTOFFS = ("nDCG", "R", "RR", "P", "AP"), (5, 10, 100)
MEASURES = (
    *(f"{family}@{cutoff}" for family in FAMILIES for cutoff in CUTOFFS),
    *("AP", "RR", "Rprec", "Bpref", "Success@1", "Success@5", "Judged@10"),
)
DTYPES = ("float32", "float16")
SIMILARITIES = ("cosine", "dot", "euclidean")


@click.command(short_help="Print the completion script for a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    It completes commands, options, names of indexes, kinds and options of embedders, methods and
    measures.

    \b
      bash: eval "$(retriever completion bash)" in ~/.bashrc
      zsh:  eval "$(retriever completion zsh)" in ~/.zshrc
      fish: retriever completion fish > ~/.config/fish/completions/retriever.fish
    """  # noqa: D301 - to click, a line of one backspace keeps the next lines as they are
    script = get_completion_class(shell)
    if script is None or ctx.parent is None:
        raise click.ClickException(f"No completion for {shell}.")
    click.echo(script(ctx.parent.command, {}, "retriever", "_RETRIEVER_COMPLETE").source())


def embedder_specs(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Complete `--embedder` with the kinds; a model follows the colon."""
    specs = [kind if kind == "hashing" else f"{kind}:" for kind in EMBEDDERS]
    return _starting(specs, incomplete)


def model_kinds(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a kind of embedder or reranker."""
    return _starting([*EMBEDDERS, *RERANKERS], incomplete)


def fusion_methods(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Complete `--method`."""
    return _starting(METHODS, incomplete)


def languages(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Complete `--language`."""
    from indexes.lexical.options import LANGUAGES

    return _starting(LANGUAGES, incomplete)


def similarities(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Complete `--similarity`."""
    return _starting(SIMILARITIES, incomplete)


def measure_names(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Complete `-m`, in any case."""
    return [name for name in MEASURES if name.lower().startswith(incomplete.lower())]


def reranker_specs(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Complete `--rerank-by` with the kinds; a model follows the colon."""
    return _starting([f"{kind}:" for kind in RERANKERS], incomplete)


def model_option(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete `-o NAME VALUE`: options of the chosen model, then the values of true or false.

    Without `--embedder`, `--rerank` or `--rerank-by`, no option is known.
    """
    typed = ctx.meta.get(TYPED, ())
    specs = [ctx.params.get(name) for name in ("spec", "second", "rerank_by")]
    spec = next((one for one in specs if isinstance(one, str)), None)
    if not typed or spec is None:
        return []
    from retriever.embedders.registry import describe_embedders
    from retriever.rerankers.registry import describe_rerankers

    embedders = {one.kind: one for one in describe_embedders()}
    kinds = embedders | {one.kind: one for one in describe_rerankers()}
    kind = spec.partition(":")[0]
    if kind not in kinds:
        return []
    options = {one.name: one for one in kinds[kind].options}
    # How vectors are stored.
    of_index = ["dtype"] if kind in embedders else []
    if typed[-1] in parameter.opts:
        return _starting([*options, *of_index], incomplete)
    if typed[-1] in of_index:
        return _starting(DTYPES, incomplete)
    is_boolean = typed[-1] in options and options[typed[-1]].type.startswith("true or false")
    return _starting(("true", "false"), incomplete) if is_boolean else []


def _starting(names: Sequence[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
