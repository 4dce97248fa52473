"""`completion`: print the shell script that completes commands, options and index names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
      bash: eval "$(retriever completion bash)" in ~/.bashrc
      zsh:  eval "$(retriever completion zsh)" in ~/.zshrc
      fish: retriever completion fish > ~/.config/fish/completions/retriever.fish
    """  # noqa: D301 - to click, a line of one backspace keeps the next lines as they are
    script = get_completion_class(shell)
    if script is None or ctx.parent is None:
        raise click.ClickException(f"No completion for {shell}.")
    click.echo(script(ctx.parent.command, {}, "retriever", "_RETRIEVER_COMPLETE").source())
