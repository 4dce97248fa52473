"""`--help` of every command, for the pages."""

from __future__ import annotations


def command_help() -> str:
    """Return `--help` of `retriever` and of each of its commands, in 80 columns."""
    import click

    from retriever.cli import cli

    parts = []
    names: list[str] = ["", *cli.list_commands(click.Context(cli))]
    for name in names:
        command = cli.commands[name] if name else cli
        path = f"retriever {name}".strip()
        settings = {**cli.context_settings, "terminal_width": 80}
        parent = click.Context(cli, info_name="retriever", **settings)
        context = click.Context(command, info_name=name, parent=parent) if name else parent
        context.terminal_width = 80
        parts.append(f"## {path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)
