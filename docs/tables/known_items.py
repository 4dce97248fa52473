"""The table of how far to trust queries made from a corpus."""

from __future__ import annotations

from docs.tables.results import certificate_line, result


def trust_table() -> str:
    """Return orders of systems by made queries next to those by judgments, with the provenance."""
    from benchmarks.known_items import table

    kept = result("known_items")
    return "\n".join([table(kept), "", certificate_line(kept["certificate"])])
