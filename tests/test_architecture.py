"""The walls: two rooms, doors to engines, names that are what they say."""

import ast
import importlib
import inspect
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
ENGINES = (
    "click",
    "faiss",
    "filelock",
    "gensim",
    "h5py",
    "huggingface_hub",
    "ir_datasets",
    "ir_measures",
    "jinja2",
    "markupsafe",
    "onnx",
    "onnxruntime",
    "pyarrow",
    "rich",
    "sentence_transformers",
    "sentencex",
    "sqlite3",
    "sqlite_utils",
    "tantivy",
    "tokenizers",
    "torch",
    "transformers",
)


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = [name_of(path) for path in SOURCES if path.name != "__main__.py"]


def python(code, folder=ROOT):
    """What a fresh interpreter prints for some code, with `folder` first on its path."""
    script = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# -- two rooms ----------------------------------------------------------------------------------


def test_indexes_alone_imports_and_knows_nothing_of_retriever(tmp_path):
    shutil.copytree(
        ROOT / "indexes", tmp_path / "indexes", ignore=shutil.ignore_patterns("__pycache__")
    )
    names = [name for name in MODULES if name.split(".")[0] == "indexes"]
    assert "indexes.store" in names
    # Looking for `retriever` is an error here, whatever is installed.
    code = f"""
import importlib
class Wall:
    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] != "retriever", f"indexes looked for {{name}}"
sys.meta_path.insert(0, Wall())
for name in {names!r}:
    importlib.import_module(name)
print(sys.modules["indexes"].__path__[0])
print(any(name.partition(".")[0] == "retriever" for name in sys.modules))
"""
    assert python(code, tmp_path).splitlines() == [str(tmp_path / "indexes"), "False"]


def test_importing_every_module_does_nothing_to_the_world():
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
    heavy = {"numpy", "scipy", *ENGINES}
    assert python(f"import retriever; print(sorted(set(sys.modules) & {heavy!r}))") == "[]"


# -- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_exists_and_is_listed_once(name):
    module = importlib.import_module(name)
    names = getattr(module, "__all__", [])
    assert [n for n in names if not hasattr(module, n)] == []
    assert len(set(names)) == len(names)


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


# -- the error tree -----------------------------------------------------------------------------


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
        if inspect.isclass(thing) and issubclass(thing, Exception)
    }
    drawn = drawn_tree()
    assert dict(drawn) == real
    assert len(drawn) == len(real)
    assert [name for name, parent in drawn if parent == "Exception"] == ["RetrieverError"]
    assert set(real) <= set(errors.__all__)


def test_no_other_module_makes_errors_of_its_own():
    for name in MODULES:
        for thing in vars(importlib.import_module(name)).values():
            if inspect.isclass(thing) and issubclass(thing, Exception):
                ours = thing.__module__.split(".")[0] in ("indexes", "retriever")
                assert not ours or thing.__module__ == "indexes.errors", (name, thing)


# -- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_is_a_sentence(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert text
    first = text.split("\n\n")[0]
    assert first[-1] in ".:"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_asserts_about_what_users_give(path):
    tree = ast.parse(path.read_text())
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)] == []


# -- doors --------------------------------------------------------------------------------------

DOORS = {
    pattern: rules
    for pattern, rules in PROJECT["tool"]["ruff"]["lint"]["per-file-ignores"].items()
    if rules == ["TID251"]
}


def imported_engines(path):
    """The engines that a file of ours imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found & set(ENGINES)


def test_every_engine_is_banned_with_the_name_of_its_door():
    banned = PROJECT["tool"]["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"]
    assert set(ENGINES) <= set(banned)
    assert "TID" in PROJECT["tool"]["ruff"]["lint"]["select"]
    for engine in ENGINES:
        assert banned[engine]["msg"].startswith("Only ")


def test_every_door_is_a_file_that_speaks_to_an_engine():
    for pattern in DOORS:
        files = list(ROOT.glob(pattern.replace("/**", "/**/*.py")))
        assert files, pattern
        assert any(imported_engines(path) for path in files), pattern


def test_nobody_but_the_doors_imports_an_engine():
    doors = {file for pattern in DOORS for file in ROOT.glob(pattern.replace("/**", "/**/*.py"))}
    strangers = {
        name_of(path): engines
        for path in SOURCES
        if path not in doors and (engines := imported_engines(path))
    }
    assert strangers == {}


# Spoken to by several files of one folder.
WHOLE_FOLDERS = ("click", "markupsafe", "pyarrow", "rich")


def test_an_engine_has_few_doors():
    doors = {}
    for path in SOURCES:
        for engine in imported_engines(path):
            doors.setdefault(engine, []).append(name_of(path))
    single = {e: names for e, names in doors.items() if e not in WHOLE_FOLDERS}
    assert {engine: names for engine, names in single.items() if len(names) > 1} == {
        # One package: the index, its factory, its search parameters, and kernels for brute force.
        "faiss": [
            "indexes.vectors.faiss_engine.factory",
            "indexes.vectors.faiss_engine.index",
            "indexes.vectors.faiss_engine.kernels",
            "indexes.vectors.faiss_engine.search_params",
        ],
        # Word vectors are read by the one and trained by the other.
        "gensim": [
            "retriever.embedders.word_vectors.vectors",
            "retriever.training.word_vectors.gensim_models",
        ],
        # The catalog's schema steps are its own file.
        "sqlite_utils": ["indexes.catalog.database", "indexes.catalog.migrations"],
        # Devices, the network of ELMo, and sentence models (exported, changed, asked).
        "torch": [
            "retriever.embedders.devices",
            "retriever.embedders.elmo.network",
            "retriever.embedders.contextual.onnx_engine.export",
            "retriever.embedders.contextual.overrides",
            "retriever.embedders.contextual.torch_model",
        ],
        # A tokenizer is made by the first and read by the others.
        "tokenizers": [
            "retriever.training.distillation.tokenizer",
            "retriever.embedders.contextual.tokenizer",
            "retriever.embedders.tokenization.subword_tokenizer",
        ],
    }
    assert {name.rsplit(".", 1)[0] for name in doors["click"]} <= {"retriever", "retriever.cli"}


def test_both_rooms_are_packages_of_the_wheel():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert sorted(wheel) == ["indexes", "retriever"]
    assert indexes.__path__
