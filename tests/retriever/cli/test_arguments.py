import subprocess
import sys
from pathlib import Path

import pytest

import indexes.reader
from retriever.cli import cli
from retriever.cli.running.arguments import CATALOG, with_library
from tests.support.commands import fail, invoke, misuse, objects, succeed

COMMAND = Path(sys.executable).parent / "retriever"


@pytest.fixture(autouse=True)
def library(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("cat.txt").write_text("A kitten purrs.")
    succeed("add", "library", "cat.txt")
    succeed("build", "library", "words", "--embedder", "hashing")


def completed(*words, default="home"):
    name, *args = words
    return with_library(cli.commands[name], args, Path(default) if default else None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("search kitten", "home kitten"),
        ("search -k 3 kitten -i words", "home -k 3 kitten -i words"),
        ("search --queries file", "home --queries file"),
        ("search library kitten", "library kitten"),
        ("search library", "library"),
        ("search nowhere kitten", "nowhere kitten"),
        ("build words --embedder hashing", "home words --embedder hashing"),
        ("build nowhere words", "nowhere words"),
        ("train word2vec words --dim 8", "word2vec home words --dim 8"),
        ("train --dim 8 glove glove --window 9", "--dim 8 glove home glove --window 9"),
        ("train glove library words", "glove library words"),
        ("show cat.txt dog.txt", "home cat.txt dog.txt"),
        ("show library cat.txt", "library cat.txt"),
        ("info", "home"),
        ("info nowhere", "nowhere"),
        ("compare --queries q", "home --queries q"),
        ("compare library nowhere", "library nowhere"),
        ("build --all", "home --all"),
        ("update notes", "home notes"),
        ("export words words.npy", "home words words.npy"),
        ("copy backup", "home backup"),
        ("rename words letters", "home words letters"),
        ("tune words", "home words"),
        ("evaluate run --qrels q", "run --qrels q"),
        ("search -- -k", "home -- -k"),
        ("search kitten --wrong", "kitten --wrong"),
        ("search kitten -k", "kitten -k"),
    ],
)
def test_library_may_be_left_out_where_there_is_a_default(given, expected):
    assert completed(*given.split()) == expected.split()


def test_without_a_default_nothing_is_left_out():
    assert completed("search", "kitten", default=None) == ["kitten"]
    assert "Missing argument 'LIBRARY'" in misuse("info")
    assert "Missing argument 'LIBRARY'" in misuse("train", "glove")
    assert "Missing argument 'LIBRARY...'" in misuse("compare", "--queries", "q")


def test_a_long_query_is_no_folder():
    assert completed("search", "word " * 2_000) == ["home", "word " * 2_000]


def test_a_default_that_starts_with_a_hyphen_is_no_option():
    assert completed("info", default="-x") == ["./-x"]


@pytest.mark.parametrize(
    ("given", "corrected"),
    [
        ("search 'a kitten' library -k 2", "search library 'a kitten' -k 2"),
        ("build words library", "build library words"),
        ("drop words library", "drop library words"),
        ("show cat.txt library", "show library cat.txt"),
        ("train library glove words", "train glove library words"),
        ("add cat.txt library", "add library cat.txt"),
        ("update cat.txt library", "update library cat.txt"),
        ("tune words library", "tune library words"),
        ("rename words library letters", "rename library words letters"),
    ],
)
def test_swapped_arguments_are_said_with_the_right_command(given, corrected):
    import shlex

    message = misuse(*shlex.split(given))
    assert message.endswith(f"the arguments are swapped. Run: retriever {corrected}")


def test_a_folder_that_is_to_be_made_is_not_swapped_with_a_source():
    assert completed("add", "new", "library", default=None) == ["new", "library"]
    assert completed("copy", "new", "library", default=None) == ["new", "library"]


def test_a_failure_says_which_library_was_taken(monkeypatch):
    monkeypatch.setenv("RETRIEVER_LIBRARY", "library")
    result = invoke("drop", "wrods")
    assert result.exit_code == 1
    note = "note: LIBRARY was left out, so it is library/, the default of RETRIEVER_LIBRARY\n"
    assert result.stderr.startswith(note)


def test_near_misses_get_a_suggestion():
    assert fail("drop", "library", "wrods") == (
        "No index 'wrods' in library/. It has: words. Did you mean 'words'?"
    )
    build = "build", "library", "new", "--embedder"
    assert "Did you mean 'hashing'?" in fail(*build, "hashng")
    assert "Did you mean 'weighting'?" in fail(*build, "static:x", "-o", "wieghting", "sif")
    Path("run").write_text("q Q0 d 1 1 s\n")
    Path("qrels").write_text("q 0 d 1\n")
    for given, meant in (("nDGC@10", "nDCG@10"), ("recal@5", "recall@5"), ("MMR@10", "mrr@10")):
        assert f"Did you mean '{meant}'" in fail("evaluate", "run", "--qrels", "qrels", "-m", given)
    fuse = "--fuse", "words", "--fuse", "words"
    assert "Did you mean 'minmax'?" in fail("build", "library", "f", *fuse, "--method", "minmx")
    assert "Did you mean 'search'?" in misuse("serch", "library", "kitten")
    assert "Did you mean 'german'?" in fail(
        "build", "library", "b", "--lexical", "--language", "germn"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("query library kitten", "No such command 'query'. Did you mean 'search'?"),
        ("rm library cat.txt", "No such command 'rm'. Did you mean 'delete' or 'drop'?"),
        ("help search", "No such command 'help'. Run: retriever search --help"),
        ("search library kitten --top 5", "No such option '--top'. Did you mean -k N?"),
        ("search library kitten -n 5", "No such option '-n'. Did you mean -k N?"),
        ("list library -n 5", "No such option '-n'. Did you mean --limit N?"),
        ("search library kitten --weird", "No such option '--weird'. Did you mean '--where'?"),
        ("build library x --bm25", "No such option '--bm25'. Did you mean --lexical?"),
        ("build library x --model static:glove", "Did you mean --embedder KIND:MODEL?"),
        ("build library x --weighting sif", "It is an option of the model: -o weighting VALUE"),
        ("compare library --judgments x", "Did you mean --qrels FILE?"),
        (
            "compare library cat.txt",
            "'cat.txt' is a file, and no collection. Give it as: --queries",
        ),
        ("compare library -i a,b --queries q", "Give -i once for each index: -i a -i b"),
        ("search library a kitten -k 2", "Run: retriever search library 'a kitten' -k 2"),
        ("search kitten", "to search for it: retriever search LIBRARY kitten"),
    ],
)
def test_what_new_users_type_is_answered_with_what_they_meant(given, said):
    assert said in misuse(*given.split())


def test_a_model_without_its_kind_is_answered_with_how_to_write_it():
    build = ("build", "library", "x", "--embedder")
    assert "such as static:glove or contextual:glove;" in fail(*build, "glove")
    assert "-o NAME VALUE" in invoke(*build, "hashing", "-o", "dim=8").stderr
    assert "is one word; write -o dim 8." in fail(*build, "hashing", "-o", "dim=8", "--json")


def test_a_fusion_that_cannot_read_a_text_does_not_answer_unasked():
    succeed("export", "library", "words", "v.npy")
    succeed("build", "library", "given", "--from-vectors", "v.npy")
    succeed("build", "library", "mixed", "--fuse", "words", "--fuse", "given")
    assert {hit["index"] for hit in objects(succeed("search", "library", "a", "--json"))} == {
        "words"
    }
    assert "Did you mean '--embedder'?" in misuse("build", "library", "x", "--embeder", "hashing")


def test_the_catalog_is_where_the_library_keeps_it():
    assert CATALOG == indexes.reader.CATALOG


# Beyond what the machine counts in, and what no text in UTF-8 has.
HUGE, HALF = "1" + 30 * "0", "\udcff"


@pytest.mark.parametrize(
    "words",
    [
        ("list", "library", "--limit", HUGE),
        ("search", "library", "kitten", "-k", HUGE),
        ("search", "library", "kitten", "-k", "1", "--json"),
    ],
)
def test_more_documents_than_there_are_can_be_asked_for(words):
    assert "cat.txt" in succeed(*words)


def test_more_queries_than_there_are_can_be_asked_for():
    Path("long.txt").write_text(
        "A kitten purrs when it is content. Engines idle with a soft rumble, and the driver "
        "waits until the light is green again."
    )
    succeed("add", "library", "long.txt")
    assert "not 1,000," in invoke("queries", "library", "-o", "made.jsonl", "-n", HUGE).stderr


@pytest.mark.parametrize(
    "words",
    [
        ("search", "library", "kitten", "--index", HALF),
        ("build", "library", "new", "--vectors", HALF),
        ("build", "library", "new", "--fuse", "words", "--fuse", HALF),
        ("export", "library", HALF, "v.npy"),
        ("rename", "library", HALF, "letters"),
        ("drop", "library", HALF),
        ("tune", "library", HALF),
    ],
)
def test_a_name_that_is_no_text_is_refused_with_a_message(words):
    assert "'\\udcff' is not valid Unicode at character 0" in fail(*words)


def test_a_working_folder_that_is_gone_is_named(tmp_path):
    command = f"cd {tmp_path} && mkdir gone && cd gone && rmdir ../gone && {COMMAND} info .."
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    says = "Error: The working folder does not exist any more. Change to another one.\n"
    assert (done.returncode, done.stderr.endswith(says)) == (1, True), done.stderr
