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
from indexes.ingest.batches import PORTION_RECORDS
from retriever import Collection, __version__
from retriever.cli import cli
from tests.support.commands import fail, invoke, misuse, objects, succeed

RETRIEVER = Path(sys.executable).parent / "retriever"

CORPUS = """\
{"_id": "cat", "text": "A kitten purrs when it is content."}
{"_id": "car", "title": "Engines", "text": "The engine idles with a soft rumble.", "year": 1999}
{"_id": "tax", "text": "The filing deadline is the end of April."}
"""
QUERIES = '{"_id": "q1", "text": "a kitten purrs"}\n{"_id": "q2", "text": "filing deadline"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\tcat\t1\nq2\ttax\t2\nq2\tcar\t0\n"


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ((), ""),
        (
            ("Unable to allocate 9.00 GiB\nfor an array.",),
            " (Unable to allocate 9.00 GiB for an array)",
        ),
    ],
)
def test_no_memory_left_is_one_line(library, monkeypatch, reason, told):
    def fail(*_):
        raise MemoryError(*reason)

    monkeypatch.setattr(Collection, "info", fail)
    assert fail("info", library) == (
        f"There is not enough memory{told}. Close other programs or use a machine with more memory."
    )


def test_an_error_has_the_same_words_as_in_python(library):
    def words(call):
        with pytest.raises(RetrieverError) as caught:
            call()
        return str(caught.value)

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


def commands():
    return sorted(cli.commands.items())


def test_the_commands_are_those_that_there_are():
    names = [
        "demo",
        "add",
        "build",
        "train",
        "distill",
        "search",
        "word",
        "compare",
        "evaluate",
        "info",
        "show",
        "delete",
        "drop",
        "verify",
        "repair",
        "compact",
        "completion",
    ]
    assert list(cli.commands) == names
    listed = succeed("--help").split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in listed] == names


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_command_and_option_has_a_help_text(name, command):
    assert command.help
    assert command.get_short_help_str(limit=200).endswith(".")
    text = succeed(name, "--help")
    assert text.startswith(f"Usage: retriever {name} ")
    assert succeed(name, "-h") == text
    assert "\\b" not in text
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert option.help.endswith("."), option.name


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_argument_is_explained(name, command):
    for argument in command.params:
        if isinstance(argument, click.Argument):
            assert argument.name.upper() in command.help


def test_the_examples_keep_their_lines():
    assert "\n    retriever demo\n    retriever add     library corpus.jsonl notes/\n" in succeed(
        "-h"
    )
    assert '\n    bash: eval "$(retriever completion bash)" in ~/.bashrc\n' in succeed(
        "completion", "--help"
    )


def test_wrong_usage_is_said():
    assert misuse("serach").startswith("No such command 'serach'.")
    assert misuse("search", "library", "x", "--kk", "3").startswith("No such option '--kk'.")
    bare = invoke()
    assert (bare.exit_code, bare.stdout) == (2, "")
    assert "Commands:" in bare.stderr


def test_the_version():
    assert succeed("--version") == f"retriever, version {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell):
    script = succeed("completion", shell)
    assert "_RETRIEVER_COMPLETE" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_completion_of_an_unknown_shell():
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in misuse("completion", "tcsh")


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
    """The installed command in a process of its own."""
    defaults = {"capture_output": True, "text": True, "check": False, "timeout": 60}
    return subprocess.run([RETRIEVER, *arguments], **{**defaults, **options})


def test_the_installed_command_from_nothing_to_an_answer():
    assert process("add", "library", "-", input=CORPUS).stdout.startswith("3 new")
    assert process("build", "library", "floor", "--embedder", "hashing").returncode == 0
    asked = process("search", "library", "a kitten purrs", "-k", "1")
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.endswith("cat  A kitten purrs when it is content.\n")
    failed = process("search", "library", "x", "-i", "y")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == "Error: No index 'y' in library/. It has: floor.\n"
    assert process("search").returncode == 2


def test_python_dash_m_is_the_same_command():
    command = [sys.executable, "-m", "retriever"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"retriever, version {__version__}\n"
    wrong = subprocess.run([*command, "nope"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("Usage: retriever [OPTIONS]")


HELP_IMPORTS = """
import sys
from retriever.cli import cli
for arguments in [["--help"], ["--version"], *([name, "--help"] for name in cli.commands)]:
    try:
        cli.main(arguments, prog_name="retriever")
    except SystemExit as request:
        assert request.code == 0, arguments
heavy = {"torch", "gensim", "faiss", "pyarrow", "sentence_transformers", "transformers", "scipy",
         "sqlite_utils", "numpy", "ir_measures", "rich"}
print(sorted(set(sys.modules) & heavy), file=sys.stderr)
"""


def test_help_imports_no_engine():
    done = subprocess.run(
        [sys.executable, "-c", HELP_IMPORTS], capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"


def wait_for(path, child):
    """Until a file exists: what a child does on its way."""
    until = time.monotonic() + 30
    while not path.exists():
        assert child.poll() is None, child.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.005)


def heed_interrupts():
    # A shell starts its background jobs deaf to them, and a test run may be one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_while_adding_keeps_whole_portions(library):
    child = subprocess.Popen(
        [RETRIEVER, "add", library, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    with child:
        # More than a pipe's and a reader's buffers, and more than a portion.
        child.stdin.write("".join(f'{{"id": "new{n}", "text": "new"}}\n' for n in range(20_000)))
        child.stdin.flush()
        wait_for(Path(library) / "writer.json", child)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (130, "")
    assert (
        err.strip() == "Interrupted. Committed work is kept; run the same command again to resume."
    )
    with Collection.open(library) as collection:
        assert (len(collection) - 3) % PORTION_RECORDS == 0
        assert collection.add([{"id": "next", "text": "the lock is free"}]).new == 1


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_while_building_is_made_good_by_the_next_build(library):
    texts = " ".join(f"word{n}" for n in range(200))
    with Collection.open(library) as collection:
        collection.add({"id": str(n), "text": f"{n} {texts}"} for n in range(10_000))
    child = subprocess.Popen(
        [RETRIEVER, "build", library, "wide", "--embedder", "hashing", "-o", "dim", "512"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    with child:
        wait_for(Path(library) / "writer.json", child)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (130, "")
    assert (
        err.strip() == "Interrupted. Committed work is kept; run the same command again to resume."
    )
    (hit,) = objects(
        succeed("search", library, "a kitten purrs", "-i", "floor", "-k", "1", "--json")
    )
    assert hit["doc_id"] == "cat"
    again = ("build", library, "wide", "--embedder", "hashing", "-o", "dim", "512", "--json")
    (report,) = objects(succeed(*again))
    assert report["embedded"] + report["already"] == 10_003
    (hit,) = objects(
        succeed("search", library, "a kitten purrs", "-i", "wide", "-k", "1", "--json")
    )
    assert hit["doc_id"] == "cat"


@pytest.mark.skipif(os.name != "posix", reason="closes a pipe")
@pytest.mark.parametrize(
    "command",
    [
        ("show", "library", "cat"),
        ("search", "library", "kitten"),
        ("search", "library", "kitten", "--json"),
        ("info", "library"),
        ("--help",),
    ],
)
def test_a_reader_that_goes_away_is_no_traceback(library, command):
    child = subprocess.Popen(
        [RETRIEVER, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with child:
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode in (0, 1)
