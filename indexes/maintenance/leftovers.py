"""Files that the catalog does not name: left by a killed writer, or of commits that were lost."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from indexes.catalog.corpus import Corpus
from indexes.catalog.images import FOLDER as IMAGES
from indexes.catalog.images import Images
from indexes.catalog.registry import Registry
from indexes.catalog.sqlite.commits import SUFFIX
from indexes.catalog.sqlite.database import Catalog
from indexes.errors import DamageError, first_of
from indexes.pipeline.adoption import finished_shards
from indexes.reader import FOLDERS

# The generation of a collection to which nothing was added: nothing is built before.
FIRST_GENERATION = 1
# In the name of a file of these folders: the commit that it was written for.
NUMBERED = ("ann", "lexical", "fitted")
COMMIT = re.compile(r"-(\d+)(?=\.|$)")
SHOWN = 3


def leftovers(folder: Path, catalog: Catalog, registry: Registry) -> list[Path]:
    """Return the files that the catalog does not name, and empty folders.

    Raises:
        DamageError: the catalog is damaged; what it does not name may be needed.
    """
    with catalog.reading():
        named: set[str | None] = {*Images(catalog).copies()}
        named |= {row.file for row in registry.indexes()}
        for embedding in registry.embeddings():
            named.add(embedding.fitted.file)
            named |= {shard.file for shard in registry.shards(embedding.number)}
        # The next build commits them.
        for finished in finished_shards(folder, Corpus(catalog), registry):
            named |= {finished.shard.file, _name(finished.sidecar, folder)}
    return [
        path
        for kind in FOLDERS
        for path in sorted((folder / kind).rglob("*"))
        # A file counts under its own name, or under that of a folder that is stored as one.
        if _is_leaf(path) and not named & {_name(path, folder), _name(path.parent, folder)}
    ]


def lost_commits(catalog: Catalog, noted: int, unnamed: Sequence[Path]) -> DamageError | None:
    """Return the error for a catalog that is older than the files next to it; None if it is not.

    `noted` was read by `noted_commit` before the state of the catalog, which others may change.
    A killed writer of this catalog leaves files for its next commit at most.
    """
    now, folder = catalog.generation(), catalog.path.parent
    files = [_name(path, folder) for path in unnamed]
    latest = max([noted, *(_commit_of(file) - 1 for file in files)])
    # Images are copied before the first commit that adds documents, and nothing else is written.
    built = [file for file in files if not file.startswith(f"{IMAGES}/")]
    if latest <= now and not (now <= FIRST_GENERATION and built):
        return None
    name = catalog.path.name
    cure = [f"remove {name}{SUFFIX}"] * (noted > now)
    if files:
        cure.append(f"move away what it does not name: {first_of(files, SHOWN)}")
    return DamageError(
        f"{catalog.path} is older than the files next to it: its last commit is number {now}, and "
        f"later ones were made. If it was copied, its log ({name}-wal) is missing: copy that file "
        "too, or the folder while nobody uses it. Nothing was changed or removed. "
        f"To continue without those commits, {', and '.join(cure)}."
    )


def _commit_of(file: str) -> int:
    """Return the number of the commit that a file was written for; 0 if its name has none."""
    kind, name, *_ = file.split("/")
    found = COMMIT.findall(name) if kind in NUMBERED else []
    return int(found[-1]) if found else 0


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _is_leaf(path: Path) -> bool:
    """Return whether it is a file, or an empty folder: a crash may leave one."""
    try:
        return path.is_file() or not any(path.iterdir())
    except OSError:  # gone meanwhile
        return False
