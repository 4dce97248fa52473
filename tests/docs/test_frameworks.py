"""Tests of docs/frameworks.md and docs/filters.md: their Python runs, where the packages are."""

import importlib.util
import re
from pathlib import Path

import pytest

from tests.support.fresh import printed_by

DOCS = Path(__file__).parents[2] / "docs"
CODE = {
    re.search(r"^(?:from|import) (\w+)", code, re.MULTILINE)[1]: code
    for code in re.findall(r"```python\n(.*?)```", (DOCS / "frameworks.md").read_text(), re.DOTALL)
}
PRINTED = {
    "langchain_core": "A kitten purrs.\n",
    "llama_index": "A kitten purrs.\n",
    "haystack": "A kitten purrs.\n",
    "mteb": "retriever/bm25 1.0\nretriever/hashing-256 1.0\n",
    "polars": "['cat'] 256\n",
    "ranx": "1.0\n",
    "pyterrier": "{'ndcg_cut_10': 0.5}\n",
}
# No report to the makers of Haystack; a folder that Matplotlib, which ranx imports, may write to.
QUIET = {"HAYSTACK_TELEMETRY_ENABLED": "False", "MPLCONFIGDIR": "."}
RUNS = {"bm25": "q1 Q0 cat 1 2.5 bm25\n", "minilm": "q2 Q0 tax 1 0.9 minilm\n"}


@pytest.mark.parametrize("package", CODE)
def test_the_python_of_a_framework_runs(package, tmp_path, monkeypatch):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name, lines in RUNS.items():
        (tmp_path / "runs" / f"{name}.trec").write_text(lines)
    (tmp_path / "qrels.trec").write_text("q1 0 cat 1\nq2 0 tax 1\n")
    assert printed_by(CODE[package], **QUIET) == PRINTED[package]


def test_every_block_of_the_page_is_known():
    assert set(CODE) == set(PRINTED)


def test_an_export_is_a_table_of_duckdb(library, tmp_path):
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    target = tmp_path / "floor.parquet"
    library.export("floor", target)
    (command,) = re.findall(r'^duckdb -c "(.*)"$', (DOCS / "frameworks.md").read_text(), re.M)
    assert "from 'floor.parquet'" in command
    rows = duckdb.sql(
        f"select doc_id, metadata->>'source', len(vector) from '{target}' order by doc_id"
    ).fetchall()
    assert rows == [("car", None, 256), ("cat", None, 256), ("tax", "faq", 256)]


def test_the_python_of_the_page_on_filters_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "filters.md").read_text(), re.DOTALL)
    printed_by(code, PYTHONWARNINGS="error::ResourceWarning")
