import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from indexes import neighbors
from retriever.cli import cli
from retriever.cli.completion import EMBEDDERS, MEASURES, METHODS, RERANKERS, SIMILARITIES
from retriever.evaluation.measures import parse_measures
from retriever.rerankers.registry import KINDS as RERANKER_KINDS
from retriever.search.combinations.fusion import METHODS as ALL_METHODS
from tests.support.commands import succeed


def completed(line):
    """What the shell offers for the last word of a line."""
    _, *words, incomplete = line.split(" ")
    shell = ShellComplete(cli, {}, "retriever", "_RETRIEVER_COMPLETE")
    return [one.value for one in shell.get_completions(words, incomplete)]


def loaded_by(line, modules):
    """Which of the modules a process imports that completes a line."""
    words = line.split(" ")
    env = {
        **os.environ,
        "_RETRIEVER_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    code = (
        "import sys\nfrom retriever.cli import main\ntry: main()\nexcept SystemExit: pass\n"
        f"print(sorted(set(sys.modules) & set({modules!r})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    *offered, loaded = done.stdout.splitlines()
    assert offered
    return loaded


HEAVY = ("torch", "faiss", "transformers", "sentence_transformers", "gensim", "tokenizers")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (
            "retriever build lib x --embedder ",
            ["static:", "contextual:", "elmo:", "sparse:", "hashing"],
        ),
        ("retriever build lib x --embedder co", ["contextual:"]),
        ("retriever build lib x --fuse a --fuse b --method ", ["rrf", "minmax", "convex"]),
        ("retriever compare lib -m ndcg@1", ["nDCG@10", "nDCG@100"]),
        ("retriever embedders s", ["static", "sparse"]),
        ("retriever embedders c", ["contextual", "cross-encoder"]),
        ("retriever search lib x --rerank-by c", ["cross-encoder:"]),
        ("retriever build lib x --lexical --language ger", ["german"]),
        ("retriever build lib x --from-vectors v.npy --similarity d", ["dot"]),
        ("retriever bui", ["build"]),
    ],
)
def test_fixed_names_are_completed(line, offered):
    assert completed(line) == offered


def test_completion_loads_no_model_library_and_numpy_only_for_options_of_a_kind():
    assert loaded_by("retriever build lib x --embedder co", ("numpy", *HEAVY)) == "[]"
    assert loaded_by("retriever build lib x --embedder static:m -o wei", HEAVY) == "[]"
    assert loaded_by("retriever search lib x --rerank-by vilbert:m -o ", HEAVY) == "[]"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("retriever build lib x --embedder static:m -o wei", ["weighting"]),
        ("retriever build lib x --embedder=static:m -o unit", ["unit_words"]),
        ("retriever build lib x --embedder static:m -o unit_words ", ["true", "false"]),
        ("retriever build lib x --embedder hashing -o d", ["dim", "dtype"]),
        ("retriever build lib x --embedder hashing -o dtype ", ["float32", "float16"]),
        ("retriever build lib x --embedder nothing:m -o ", []),
        ("retriever build lib x -o ", []),
        ("retriever search lib x --rerank-by cross-encoder:m -o ma", ["max_length"]),
        ("retriever search lib x --rerank-by cross-encoder:m -o d", ["device"]),
    ],
)
def test_options_are_those_of_the_chosen_embedder(line, offered):
    assert completed(line) == offered


def test_indexes_of_the_default_library_are_completed(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("A kitten purrs.")
    monkeypatch.chdir(tmp_path)
    succeed("add", "library", "a.txt")
    for name in ("words", "waters", "other"):
        succeed("build", "library", name, "--embedder", "hashing")
    assert completed("retriever search library kitten -i w") == ["words", "waters"]
    (tmp_path / "retriever.toml").write_text('library = "library"\n')
    assert completed("retriever search kitten -i w") == ["words", "waters"]
    assert completed("retriever search -i w") == ["words", "waters"]
    assert completed("retriever drop w") == ["words", "waters"]


def test_names_written_down_are_those_of_the_library():
    assert METHODS == ALL_METHODS
    assert set(parse_measures(MEASURES)) >= {"nDCG@10", "AP"}
    assert len(EMBEDDERS) == 5
    assert tuple(RERANKER_KINDS) == RERANKERS
    assert SIMILARITIES == neighbors.SIMILARITIES
