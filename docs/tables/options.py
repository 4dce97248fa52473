"""The options of every kind of embedder, for docs/options.md."""

from __future__ import annotations


def options_tables() -> str:
    """Return a table of options for each kind, with types and defaults."""
    from retriever.embedders.registry import describe_embedders

    parts = []
    for kind in describe_embedders():
        lines = [f"## {kind.usage}", "", kind.help, "", "| option | type | default | |"]
        lines.append("|---|---|---|---|")
        for one in kind.options:
            says = one.help.replace("|", "\\|")
            lines.append(f"| `{one.name}` | {one.type} | `{one.default}` | {says} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"
