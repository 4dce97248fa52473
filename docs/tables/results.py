"""Results of benchmarks, and the provenance of each figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def result(name: str) -> Any:
    """Return a benchmark's result."""
    return json.loads((RESULTS / f"{name}.json").read_text())


def certificate_line(certificate: dict[str, Any]) -> str:
    """Return the provenance of a figure in a sentence."""
    versions = certificate["versions"]
    return (
        f"*`{certificate['command']}`, {certificate['date']}: {certificate['data']} (checksum "
        f"{certificate['data_checksum']}); {certificate['processor']}, {certificate['cores']} "
        f"cores; Python {certificate['python']}, faiss-cpu {versions['faiss-cpu']}, "
        f"sentence-transformers {versions['sentence-transformers']}, torch {versions['torch']}.*"
    )


def seconds_row(label: str, times: dict[str, float]) -> str:
    """Return a row of a table: a median of times, and their spread."""
    spread = f"{times['fastest']:.3f} to {times['slowest']:.3f} s"
    return f"| {label} | {times['median']:.3f} s | {spread} |"
