"""Cost of systems: from the catalog, and memory measured in a fresh process."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

from indexes.images import Image
from retriever.collection import Collection
from retriever.evaluation.results import Cost
from retriever.indexing.info import IndexInfo
from retriever.indexing.inspection import with_parts
from retriever.search.queries import Query

TIMEOUT_SECONDS = 300.0
# Measures before importing anything that an open index needs.
CHILD = """
import base64, json, sys
from indexes.progress import resident
before = resident()
from retriever.collection import Collection
path, name, text, image = json.loads(sys.stdin.read())
with Collection.open(path) as collection:
    collection.search(text, image=image and base64.b64decode(image), index=name)
    print(max(0, resident() - before))
"""


def leaves(name: str, infos: Mapping[str, IndexInfo]) -> list[str]:
    """Return the indexes that a system is made of and that are no combination, each once."""
    return list(dict.fromkeys(one.name for one in with_parts(name, infos) if not one.parts))


def cost_of(
    name: str, infos: Mapping[str, IndexInfo], documents: int, memory: int | None = None
) -> Cost:
    """Return the cost of a system: the sum over its parts, shared vectors counted once.

    And once each model that was made from the collection.
    """
    parts = [infos[leaf] for leaf in leaves(name, infos)]
    embeddings = _distinct_embeddings(parts)
    embedding = sum(info.embedding_seconds for info in embeddings)
    encoding = embedding - sum(info.fitting_seconds for info in embeddings)
    indexing = sum(info.indexing_seconds for info in parts)
    disk = sum(info.vectors_size + info.fitted_size for info in embeddings)
    disk += sum(info.structure_size for info in parts)
    made = {model.place: model for info in parts for model in info.own_models}.values()
    embedding += sum(model.seconds for model in made)
    disk += sum(model.size for model in made)
    tokens = sum(info.text.tokens or info.text.words for info in embeddings)
    one_model = len(embeddings) == 1
    peaks = [info.building_memory for info in parts]
    return Cost(
        embedding_seconds=embedding,
        indexing_seconds=indexing,
        documents_per_second=documents / (embedding + indexing) if embedding + indexing else None,
        # Word pieces of one model and words of another do not add up.
        tokens_per_second=tokens / encoding if encoding and tokens and one_model else None,
        building_memory=max((peak for peak in peaks if peak), default=None),
        open_memory=memory,
        disk_size=disk,
        disk_size_per_document=disk / max(documents, 1),
    )


def _distinct_embeddings(parts: Sequence[IndexInfo]) -> list[IndexInfo]:
    """Return one index per embedding."""
    found: dict[str, IndexInfo] = {}
    for info in parts:
        if info.dim and not found.keys() & {info.name, *info.vectors_shared_with}:
            found[info.name] = info
    return list(found.values())


def open_memory(collection: Collection, name: str, query: Query) -> int | None:
    """Return the bytes that a fresh process uses to open an index and answer one query.

    Counted from a bare Python on: libraries and the model are included. None if the system does not
    report memory, if the process cannot load the index (a custom embedder), or after five minutes.
    """
    image = base64.b64encode(query.read()).decode() if isinstance(query, Image) else None
    text = query if isinstance(query, str) else None
    task = json.dumps([str(collection.path.resolve()), name, text, image])
    try:
        done = subprocess.run(
            # -P: run nothing from the user's current folder.
            [sys.executable, "-P", "-c", CHILD],
            input=task,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
    except (subprocess.TimeoutExpired, OSError):
        return None
    last = done.stdout.strip().rpartition("\n")[2]
    return int(last) or None if done.returncode == 0 and last.isdigit() else None
