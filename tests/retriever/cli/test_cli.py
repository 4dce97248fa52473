"""Tests of the whole command line: errors, help, completion, and the installed command."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from indexes.errors import RetrieverError
from indexes.ingest.batches import BATCH_RECORDS
from retriever import Collection, __version__
from retriever.cli import cli
from tests.support.commands import fail, invoke, misuse, objects, printed_error, succeed
from tests.support.fresh import printed_by

RETRIEVER = Path(sys.executable).parent / "retriever"


@pytest.mark.parametrize(
    ("reason", "detail"),
    [
        ([], ""),
        (["Unable to allocate 9 GiB\nfor an array."], " (Unable to allocate 9 GiB for an array)"),
    ],
)
def test_no_memory_left_is_one_line(library, monkeypatch, reason, detail):
    def exhausted(*_):
        raise MemoryError(*reason)

    monkeypatch.setattr(Collection, "info", exhausted)
    assert fail("info", library) == (
        f"There is not enough memory{detail}. "
        "Close other programs or use a machine with more memory."
    )


def test_an_error_has_the_same_words_as_in_python(library):
    def words(call):
        with pytest.raises(RetrieverError) as caught:
            call()
        return printed_error(caught.value)

    with Collection.open(library) as collection:
        pairs = [
            (("search", library, ""), lambda: collection.search("")),
            (("search", library, "x", "-i", "y"), lambda: collection.search("x", index="y")),
            (("show", library, "dog"), lambda: collection.document("dog")),
            (("drop", library, "y"), lambda: collection.drop("y")),
            (("build", library, "new"), lambda: collection.build("new")),
            (("add", library, "none"), lambda: collection.add("none")),
            (("info", "nowhere"), lambda: Collection.open("nowhere")),
        ]
        for command, call in pairs:
            assert fail(*command) == words(call)


def test_help_lists_the_commands_in_the_order_of_their_use():
    names = "demo add build embedders update watch train distill search word queries compare"
    names += " evaluate tune-fusion serve mcp datasette info tune runtime list show delete export"
    names += " rename drop copy verify repair compact config completion"
    names = names.split()
    assert list(cli.commands) == names
    listed = succeed("--help").split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in listed] == names


@pytest.mark.parametrize(("name", "command"), sorted(cli.commands.items()))
def test_every_command_option_and_argument_is_explained(name, command):
    assert command.help
    assert command.get_short_help_str(limit=200).endswith(".")
    text = succeed(name, "--help")
    assert text.startswith(f"Usage: retriever {name} ")
    assert succeed(name, "-h") == text
    assert "\\b" not in text
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.help.endswith("."), parameter.name
        else:
            assert parameter.name.upper() in command.help


def test_the_examples_keep_their_lines():
    add = "\n    retriever demo\n    retriever add     library corpus.jsonl notes/\n"
    assert add in succeed("-h")
    bash = '\n    bash: eval "$(retriever completion bash)" in ~/.bashrc\n'
    assert bash in succeed("completion", "--help")


def test_wrong_usage_is_refused_with_exit_code_2():
    assert misuse("serach").startswith("No such command 'serach'.")
    assert misuse("search", "library", "x", "--kk", "3").startswith("No such option '--kk'.")
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in misuse("completion", "tcsh")
    bare = invoke()
    assert (bare.exit_code, bare.stdout) == (2, "")
    assert "Commands:" in bare.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell):
    script = succeed("completion", shell)
    assert "_RETRIEVER_COMPLETE" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("search library -i ", ["floor", "graph"]),
        ("search library -i gr", ["graph"]),
        ("search library query -i floor -i ", ["floor", "graph"]),
        ("compare library -i f", ["floor"]),
        ("build library new --vectors ", ["floor", "graph"]),
        ("drop library ", ["floor", "graph"]),
        ("drop library floor g", ["graph"]),
        ("drop ~/library ", ["floor", "graph"]),
        ("search -i ", []),
        ("search nowhere -i ", []),
        ("sea", ["search"]),
    ],
)
def test_names_are_completed(two, monkeypatch, line, names):
    monkeypatch.setenv("HOME", str(Path.cwd()))
    words = f"retriever {line}"
    environment = {
        "_RETRIEVER_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    result = CliRunner().invoke(cli, [], env=environment, prog_name="retriever")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [found.split(",")[1] for found in result.stdout.split()] == names


def process(*arguments, **options):
    """Run the installed command in a process of its own."""
    defaults = {"capture_output": True, "text": True, "check": False, "timeout": 60}
    return subprocess.run([RETRIEVER, *arguments], **{**defaults, **options})


def test_the_installed_command_adds_builds_and_searches(corpus):
    assert process("add", "library", "-", input=corpus).stdout.startswith("3 new")
    assert process("build", "library", "floor", "--embedder", "hashing").returncode == 0
    found = process("search", "library", "a kitten purrs", "-k", "1")
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.endswith("cat  A kitten purrs when it is content.\n")
    refused = process("search", "library", "x", "-i", "y")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "Error: No index 'y' in library/. It has: floor.\n"
    assert process("search").returncode == 2


def test_python_dash_m_is_the_same_command():
    command = [sys.executable, "-m", "retriever"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"retriever, version {__version__}\n"
    wrong = subprocess.run([*command, "nope"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("Usage: retriever [OPTIONS]")


def test_help_imports_no_engine():
    code = """
import sys
from retriever.cli import cli
for arguments in [["--help"], ["--version"], *([name, "--help"] for name in cli.commands)]:
    try:
        cli.main(arguments, prog_name="retriever")
    except SystemExit as request:
        assert request.code == 0, arguments
heavy = {"torch", "gensim", "faiss", "pyarrow", "sentence_transformers", "transformers", "scipy",
         "sqlite_utils", "numpy", "ir_measures", "rich"}
print(sorted(set(sys.modules) & heavy))
"""
    assert printed_by(code).endswith("\n[]\n")


def interrupted(*arguments, stdin=""):
    """Send SIGINT to a command once it writes, and check that it says how to resume."""
    child = subprocess.Popen(
        [RETRIEVER, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts its background jobs with SIGINT ignored, and a test run may be one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with child:
        child.stdin.write(stdin)
        child.stdin.flush()
        until = time.monotonic() + 300
        while not Path("library/writer.json").exists():
            assert child.poll() is None, child.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.005)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=300)
    assert (child.returncode, out) == (130, "")
    message = "Interrupted. Committed work is kept; run the same command again to resume."
    assert err.strip() == message


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_while_adding_keeps_whole_batches(library):
    # More than the buffers of a pipe and a reader, and more than a batch.
    lines = "".join(f'{{"id": "new{n}", "text": "new"}}\n' for n in range(20_000))
    interrupted("add", library, "-", stdin=lines)
    with Collection.open(library) as collection:
        assert (len(collection) - 3) % BATCH_RECORDS == 0
        assert collection.add([{"id": "next", "text": "the lock is free"}]).new == 1


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_the_next_build_completes_an_interrupted_one(library):
    texts = " ".join(f"word{n}" for n in range(200))
    with Collection.open(library) as collection:
        collection.add({"id": str(n), "text": f"{n} {texts}"} for n in range(10_000))

    def best(index):
        command = ("search", library, "a kitten purrs", "-i", index, "-k", "1", "--json")
        return [hit["doc_id"] for hit in objects(succeed(*command))]

    build = ("build", library, "wide", "--embedder", "hashing", "-o", "dim", "512")
    interrupted(*build)
    assert best("floor") == ["cat"]
    (report,) = objects(succeed(*build, "--json"))
    assert report["embedded"] + report["already"] == 10_003
    assert best("wide") == ["cat"]


@pytest.mark.skipif(os.name != "posix", reason="closes a pipe")
@pytest.mark.parametrize(
    "command",
    [
        "show library cat",
        "search library kitten",
        "search library kitten --json",
        "info library",
        "--help",
    ],
)
def test_a_closed_pipe_is_no_traceback(library, command):
    child = subprocess.Popen(
        [RETRIEVER, *command.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with child:
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode in (0, 1)


ENVIRONMENT = """
import os, sys
from retriever.cli import cli, main
before = os.environ.get("OMP_WAIT_POLICY")
assert not {"faiss", "torch", "numpy"} & set(sys.modules)
sys.argv = ["retriever", "--version"]
try:
    main()
except SystemExit:
    print(before, os.environ["OMP_WAIT_POLICY"])
"""


@pytest.mark.parametrize(("given", "kept"), [(None, "passive"), ("active", "active")])
def test_the_command_lets_waiting_threads_sleep_before_their_libraries_are_loaded(
    monkeypatch, given, kept
):
    """A library leaves the environment of its host alone, also while it is imported."""
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    else:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    assert printed_by(ENVIRONMENT).splitlines()[-1] == f"{given} {kept}"
