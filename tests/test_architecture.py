"""The architecture: the order of packages, where dependencies are imported, public names."""

import ast
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import indexes
import retriever
from indexes import errors

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = sorted(p for room in ("indexes", "retriever") for p in (ROOT / room).rglob("*.py"))
LINT = PROJECT["tool"]["ruff"]["lint"]
# The dependencies that only some files may import, each with a message that says which.
HEAVY = LINT["flake8-tidy-imports"]["banned-api"]


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# Those of frameworks, which need not be installed, are imported by their own tests.
FRAMEWORKS = "retriever.integrations."
NAMES = [name_of(path) for path in SOURCES if path.name != "__main__.py"]
MODULES = [name for name in NAMES if not name.startswith(FRAMEWORKS)]


def python(code, folder=ROOT):
    """Return what a fresh interpreter prints for code, with `folder` first on its path."""
    script = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


FOLDERS = sorted({path.parent for path in SOURCES})


def lint_imports(folder):
    """Check the order of packages, a table in pyproject.toml: exit status and what is printed."""
    code = "from importlinter.cli import lint_imports_command as lint; lint(['--no-cache'])"
    env = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_imports_run_down_the_table_in_pyproject_and_one_that_runs_up_is_found(tmp_path):
    status, printed = lint_imports(ROOT)
    assert (status, "0 broken" in printed) == (0, True), printed
    for name in ("indexes", "retriever"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    # Imports inside functions count.
    with (tmp_path / "indexes" / "errors.py").open("a") as file:
        file.write("\n\ndef late():\n    import indexes.store\n")
    status, printed = lint_imports(tmp_path)
    assert (status, "indexes.errors -> indexes.store" in printed) == (1, True), printed


def test_every_folder_says_what_it_is_for_and_stays_small():
    for folder in FOLDERS:
        docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
        assert docstring.splitlines()[0].endswith("."), folder
        modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        assert len(modules) <= 20, folder


def test_reading_imports_nothing_that_writes():
    code = """
import sys, indexes.reader
parts = ("ingest", "pipeline", "maintenance", "store")
print([name for name in sys.modules if name.startswith("indexes.") and name.split(".")[1] in parts])
"""
    assert python(code) == "[]"


def test_indexes_alone_imports_and_knows_nothing_of_retriever(tmp_path):
    shutil.copytree(
        ROOT / "indexes", tmp_path / "indexes", ignore=shutil.ignore_patterns("__pycache__")
    )
    names = [name for name in MODULES if name.split(".")[0] == "indexes"]
    assert "indexes.store" in names
    # Looking for `retriever` is an error here, whatever is installed.
    code = f"""
import importlib
class Refuse:
    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] != "retriever", f"indexes looked for {{name}}"
sys.meta_path.insert(0, Refuse())
for name in {names!r}:
    importlib.import_module(name)
print(sys.modules["indexes"].__path__[0])
print(any(name.partition(".")[0] == "retriever" for name in sys.modules))
"""
    assert python(code, tmp_path).splitlines() == [str(tmp_path / "indexes"), "False"]


def test_importing_every_module_has_no_side_effects():
    code = f"""
import os, threading, warnings, importlib
before = dict(os.environ)
for name in {MODULES!r}:
    importlib.import_module(name)
print(dict(os.environ) == before, threading.active_count())
import logging
print(logging.getLogger().handlers)
print(sorted(set(sys.modules) & {{"torch", "gensim", "sentence_transformers", "transformers"}}))
"""
    assert python(code).splitlines() == ["True 1", "[]", "[]"]


def test_import_retriever_loads_next_to_nothing():
    heavy = {"numpy", "scipy", *HEAVY, "retriever.integrations"}
    assert python(f"import retriever; print(sorted(set(sys.modules) & {heavy!r}))") == "[]"


def test_every_public_name_exists_and_is_listed_once():
    for module in map(importlib.import_module, MODULES):
        names = getattr(module, "__all__", [])
        assert [n for n in names if not hasattr(module, n)] == [], module
        assert len(set(names)) == len(names), module


def test_retrievers_names_all_import():
    assert retriever.__all__ == sorted(retriever.__all__)
    for name in retriever.__all__:
        assert getattr(retriever, name) is not None
    assert set(retriever.__all__) <= set(dir(retriever))
    with pytest.raises(AttributeError, match="module 'retriever' has no attribute 'Collectoin'"):
        retriever.Collectoin  # noqa: B018


def test_compare_is_the_function_after_every_import():
    code = """
import retriever.evaluation.results, retriever.cli.compare, retriever.search.retriever
from retriever import compare
print(type(compare).__name__, compare.__module__)
"""
    assert python(code) == "function retriever.comparison.compare"


def test_versions_agree():
    assert retriever.__version__ == PROJECT["project"]["version"]
    assert (ROOT / "retriever" / "py.typed").is_file()
    assert (ROOT / "indexes" / "py.typed").is_file()


def drawn_tree():
    """(name, name of the parent) of every class in the drawing, from top to bottom."""
    path, pairs = [], []
    for line in errors.__doc__.splitlines():
        bare = line.strip("│├└─ ")
        name = bare.split(" ")[0]
        if not line.startswith("    ") or not name.endswith("Error"):
            continue
        depth = line.index(name) // 4 - 1
        path = [*path[:depth], name]
        pairs.append((name, path[-2] if depth else "Exception"))
    return pairs


def test_the_error_tree_is_as_drawn():
    real = {
        name: thing.__base__.__name__
        for name, thing in vars(errors).items()
        if inspect.isclass(thing)
        and issubclass(thing, Exception)
        and not issubclass(thing, Warning)
    }
    drawn = drawn_tree()
    assert dict(drawn) == real
    assert len(drawn) == len(real)
    assert [name for name, parent in drawn if parent == "Exception"] == ["RetrieverError"]


def test_no_other_module_makes_errors_of_its_own():
    for name in MODULES:
        for thing in vars(importlib.import_module(name)).values():
            if inspect.isclass(thing) and issubclass(thing, Exception):
                ours = thing.__module__.split(".")[0] in ("indexes", "retriever")
                assert not ours or thing.__module__ == "indexes.errors", (name, thing)


def test_every_file_says_what_it_is_for_and_asserts_nothing_about_what_users_give():
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        assert (ast.get_docstring(tree) or "?").split("\n\n")[0][-1] in ".:", path
        assert [node for node in ast.walk(tree) if isinstance(node, ast.Assert)] == [], path


IMPORTERS = [rule for rule, codes in LINT["per-file-ignores"].items() if codes == ["TID251"]]


def heavy_imports(path):
    """Return the heavy dependencies that a file of ours imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found & set(HEAVY)


# Beginnings of words as they are spelled in Britain.
BRITISH = re.compile(
    r"(?i)\b(?:un)?(?:(?:neighb|col|behavi|fav|hon|lab)ou" + "r|cent" + "red|catalog" + "ue|"
    r"(?:normal|token|optim|initial|organ|recogn|serial|summar|random|quant|penal|minim|maxim|"
    r"standard|general|categor|visual)is" + "(?:e|ing|ation)|(?:model|cancel)l" + "ed)"
)


def test_words_are_spelled_as_in_the_united_states():
    files = [*SOURCES, *ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.rglob("template/*.*")]
    files += [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    # A method and an error of asyncio's.
    foreign = re.compile(r"\.(cancel" + r"led\(\)|Cancel" + "ledError)")
    found = {path: BRITISH.findall(foreign.sub("", path.read_text())) for path in files}
    assert {path.name: words for path, words in found.items() if words} == {}


def test_the_command_line_imports_no_framework_and_each_integration_says_what_it_needs():
    frameworks = ["datasette", "haystack", "langchain", "llamaindex", "mcp", "mteb"]
    code = f"""
import importlib, sys
import retriever.cli
print(sorted(name for name in sys.modules if name.startswith("retriever.integrations")))
class Missing:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in ("datasette", "haystack", "langchain_core", "llama_index", "mcp", "mteb"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
for name in {frameworks!r}:
    try:
        importlib.import_module(f"retriever.integrations.{{name}}")
    except importlib.import_module("indexes.errors").InputError as error:
        print(str(error).split("Run: ")[1])
"""
    needs = [f"pip install 'retriever-compare[{name}]'" for name in frameworks]
    assert python(code).splitlines() == ["[]", *needs]
    assert set(frameworks) <= set(PROJECT["project"]["optional-dependencies"])


def test_every_ban_says_who_may_import_and_is_checked():
    assert "TID" in LINT["select"]
    assert len(HEAVY) >= 22
    assert [name for name, ban in HEAVY.items() if not ban["msg"].startswith("Only ")] == []


def test_the_files_that_may_import_a_heavy_dependency_do_and_no_others():
    allowed = {path for rule in IMPORTERS for path in ROOT.glob(rule.replace("/**", "/**/*.py"))}
    assert [str(path) for path in SOURCES if path not in allowed and heavy_imports(path)] == []
    for rule in IMPORTERS:
        files = ROOT.glob(rule.replace("/**", "/**/*.py"))
        assert any(heavy_imports(path) for path in files), rule


def test_a_heavy_dependency_is_imported_in_one_folder():
    folders = {}
    for path in SOURCES:
        for name in heavy_imports(path):
            folders.setdefault(name, set()).add(path.parent.relative_to(ROOT).as_posix())
    assert {name: sorted(where) for name, where in folders.items() if len(where) > 1} == {
        # Commands, and what runs them.
        "click": [
            "retriever/cli",
            "retriever/cli/made",
            "retriever/cli/running",
            "retriever/cli/services",
        ],
        "fastapi": ["retriever/service", "retriever/service/page", "retriever/service/routes"],
        # Word vectors are read by one and trained by the other.
        "gensim": ["retriever/embedders/word_vectors", "retriever/training/word_vectors"],
        # The report page, and the pages of the service.
        "jinja2": ["retriever/report/html", "retriever/service/page"],
        "markupsafe": ["retriever/report/html", "retriever/service/page"],
        # Splitting texts, reading Parquet and files of word vectors and of image regions.
        "pyarrow": [
            "indexes/text",
            "retriever/embedders/tokenization",
            "retriever/embedders/word_vectors",
            "retriever/formats/tables",
            "retriever/formats/vectors",
            "retriever/rerankers/vilbert",
        ],
        # Fields of the service's bodies, and of tools; MCP's and LangChain's own are pydantic's.
        "pydantic": ["retriever/integrations", "retriever/service/routes"],
        "rich": [
            "retriever/cli",
            "retriever/report",
            "retriever/report/html",
            "retriever/report/terminal",
        ],
        # The default device, and loading a model.
        "sentence_transformers": ["retriever/embedders", "retriever/embedders/contextual"],
        # Collections, and databases of others.
        "sqlite3": ["indexes/catalog/sqlite", "retriever/formats/tables"],
        # Tokenizers are read in two ways, and trained.
        "tokenizers": [
            "retriever/embedders/contextual",
            "retriever/embedders/tokenization",
            "retriever/training/distillation",
        ],
        # Sentence models, their export, and the networks of ELMo and ViLBERT.
        "torch": [
            "retriever/embedders",
            "retriever/embedders/contextual",
            "retriever/embedders/contextual/onnx_engine",
            "retriever/embedders/elmo",
            "retriever/rerankers/vilbert",
        ],
        # The service, and Datasette, which comes with it.
        "uvicorn": ["retriever/integrations", "retriever/service"],
    }


def test_both_packages_are_in_the_wheel():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(wheel) == ["indexes", "retriever"]
    assert indexes.__path__
