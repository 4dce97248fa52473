"""Table of what grows with a collection, and what a hundred million documents would take."""

from __future__ import annotations

from docs.tables.results import certificate_line, result

FAR = 100_000_000
# At these sizes, mostly the vectors to train on; and a figure of the other processes.
NO_LAW = ("structure peak_mb", "ask p50_ms")
# What is shown of each step, with its unit.
SHOWN = (
    ("add: processor time", "add", "cpu_s", "s"),
    ("... peak memory", "add", "peak_mb", "MB"),
    ("... catalog on disk", "add", "catalog_mb", "MB"),
    ("write the vectors (float16): processor time", "embed", "cpu_s", "s"),
    ("... peak memory", "embed", "peak_mb", "MB"),
    ("... on disk", "embed", "vectors_mb", "MB"),
    ("build the structure: processor time", "structure", "cpu_s", "s"),
    ("... peak memory", "structure", "peak_mb", "MB"),
    ("... on disk", "structure", "structure_mb", "MB"),
    ("open", "again", "open_ms", "ms"),
    ("... and the first query ever, all files read", "first", "first_query_ms", "ms"),
    ("... and the first query, files verified before", "again", "first_query_ms", "ms"),
    ("... memory", "first", "opened_mb", "MB"),
    ("one query with its texts: processor time", "ask", "cpu_ms", "ms"),
    ("... in a batch of 500", "ask", "batch_cpu_ms", "ms"),
    ("... p50 by the clock", "ask", "p50_ms", "ms"),
    ("recall@10", "ask", "recall_at_10", ""),
    ("fetch ten documents", "catalog", "fetch_ms", "ms"),
    ("a new filter, which a fifth passes", "catalog", "filter_first_ms", "ms"),
    ("... after a change, tables checked", "catalog", "filter_unchecked_ms", "ms"),
    ("... the same again", "catalog", "filter_again_ms", "ms"),
    ("count", "catalog", "count_ms", "ms"),
    ("`info`", "catalog", "info_ms", "ms"),
    ("`verify`: processor time", "catalog", "verify_cpu_s", "s"),
)


def scale_table() -> str:
    """Return each figure by the number of documents, its exponent, and where that leads."""
    kept = result("scale")
    sizes = sorted(kept["synthetic"], key=int)
    columns = ["arXiv, 100,000", *(f"{int(size):,}" for size in sizes)]
    lines = [
        f"| | {' | '.join(columns)} | exponent | {FAR:,}, extrapolated |",
        f"|---|{'---:|' * (len(columns) + 2)}",
    ]
    runs = [kept["real"], *(kept["synthetic"][size] for size in sizes)]
    names = [run["structure"]["factory"].replace(",", ", ") for run in runs]
    lines.append(f"| structure | {' | '.join(names)} | | |")
    for label, step, name, unit in SHOWN:
        values = [run[step][name] for run in runs]
        law = f"{step} {name}"
        exponent = None if law in NO_LAW else kept["exponents"].get(law)
        far = ""
        if exponent is not None:
            far = f"{_number(values[-1] * (FAR / int(sizes[-1])) ** max(exponent, 0))} {unit}"
        shown = " | ".join(f"{_number(value)} {unit}".strip() for value in values)
        power = "" if exponent is None else f"{exponent:.2f}"
        lines.append(f"| {label} | {shown} | {power} | {far} |")
    return "\n".join([*lines, "", certificate_line(kept["certificate"])])


def _number(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
