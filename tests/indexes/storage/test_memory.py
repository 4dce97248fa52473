"""What is held in memory stays bounded, counted in bytes; what is given up for it is said."""

import json
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from indexes.catalog.records import EmbeddingRow
from indexes.errors import DamageError, InputError
from indexes.pipeline import ann_builder as structures
from indexes.pipeline import builder
from indexes.search import searchers as views
from indexes.search.prefilter import AllowList
from indexes.storage.files import FileDigest
from indexes.vectors import shards
from indexes.vectors.blocks import Block
from indexes.vectors.faiss_engine import factory as factory_module
from indexes.vectors.faiss_engine.factory import build
from retriever import Collection, Document, HashingEmbedder
from retriever.cli import cli

MIB = 1 << 20


def unit_rows(count, dim, seed=7):
    vectors = np.random.default_rng(seed).standard_normal((count, dim), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def peak_of(work):
    """The most bytes that Python and NumPy held at once for some work, beyond what was there."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# -- filters ------------------------------------------------------------------------------------


def flat_view(block):
    """A view of one block, searched without a structure."""
    dim = block.vectors.shape[1]
    embedding = EmbeddingRow(1, "flat", {}, "model", "fingerprint", dim, "float32")
    return views.VectorSearcher(
        index=structures.planned("flat", embedding, None),
        embedding=embedding,
        blocks=[block],
        unseen=(),
        structure=None,
        deleted=np.empty(0, np.int64),
        missing=0,
    )


def copied_by(view):
    return sum(part.vectors.nbytes for scope in view._scopes.values() for part in scope.few or ())


def without_dead(block):
    alive = ~np.isin(block.keys, DEAD)
    return Block(block.keys[alive], block.vectors[alive])


def test_the_rows_copied_for_filters_are_kept_up_to_a_number_of_bytes():
    vectors = unit_rows(40_000, 256)
    view = flat_view(Block(np.arange(1, 40_001), vectors))
    # A quarter of all rows each, which is copied: 9.8 MiB.
    filters = [AllowList(f"every fourth from {n}", np.arange(n, 40_001, 4)) for n in (1, 2, 3, 4)]
    for allowed in filters:
        first = int(allowed.keys[0])
        found = view.search(vectors[first - 1 : first], 1, allowed)
        assert found.keys.tolist() == [[first]]
        assert view.scope(allowed).few is not None
        assert copied_by(view) <= 32 * MIB
    # The oldest went, and comes back when it is asked for again.
    assert list(view._scopes) == [allowed.name for allowed in filters[1:]]
    assert view.search(vectors[:1], 1, filters[0]).keys.tolist() == [[1]]


def test_rows_larger_than_all_that_may_be_kept_serve_their_search(monkeypatch):
    monkeypatch.setattr(views, "KEPT_BYTES", 100)
    view = flat_view(Block(np.arange(1, 101), unit_rows(100, 8)))
    allowed = AllowList("few", np.arange(1, 11))
    assert view.search(view.blocks[0].vectors[:1], 1, allowed).keys.tolist() == [[1]]
    assert copied_by(view) == 0


def test_threads_share_the_filters_of_a_view(monkeypatch):
    monkeypatch.setattr(views, "KEPT_BYTES", 2_000)
    view = flat_view(Block(np.arange(1, 201), unit_rows(200, 8)))
    filters = [AllowList(f"{n}", np.arange(n, n + 10)) for n in range(1, 101)]

    def ask(allowed):
        first = int(allowed.keys[0])
        return view.search(view.blocks[0].vectors[first - 1 : first], 1, allowed).keys.tolist()

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(ask, filters * 5))
    finally:
        sys.setswitchinterval(before)
    assert found == [[[int(allowed.keys[0])]] for allowed in filters * 5]
    assert copied_by(view) <= 2_000


# -- building past removed rows -----------------------------------------------------------------


@pytest.fixture(scope="module")
def rows():
    """2,000 vectors in four blocks, under keys 1 to 2,000."""
    keys, vectors = np.arange(1, 2001), unit_rows(2000, 32)
    parts = [slice(start, start + 500) for start in range(0, 2000, 500)]
    return [Block(keys[part], vectors[part]) for part in parts]


# Every seventh key, all of the third block, and some that are in no block.
DEAD = np.union1d(np.arange(-6, 3000, 7), np.arange(1001, 1501))


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "IVF16,SQ8", "PCA16,Flat"])
def test_a_structure_built_past_dead_keys_is_the_one_without_their_rows(rows, factory, half):
    dtype = np.float16 if half else np.float32
    rows = [Block(block.keys, block.vectors.astype(dtype)) for block in rows]
    past = build(factory, 32, rows, DEAD)
    without = build(factory, 32, [without_dead(block) for block in rows])
    assert past.keys.tolist() == without.keys.tolist()
    assert past.keys.tolist() == np.setdiff1d(np.arange(1, 2001), DEAD).tolist()
    queries = unit_rows(20, 32, seed=8)
    found, wanted = past.search(queries, 10), without.search(queries, 10)
    assert found.keys.tolist() == wanted.keys.tolist()
    assert found.scores.tolist() == wanted.scores.tolist()


def test_training_takes_as_many_living_rows_as_without_the_dead(rows, monkeypatch):
    monkeypatch.setattr(factory_module, "TRAINING_ROWS", 300)
    past = build("IVF16,Flat", 32, rows, DEAD)
    without = build("IVF16,Flat", 32, [without_dead(block) for block in rows])
    queries = unit_rows(20, 32, seed=8)
    assert past.search(queries, 10).keys.tolist() == (without.search(queries, 10).keys.tolist())


def test_only_living_rows_count_as_something_to_build_on(rows):
    with pytest.raises(InputError, match="no document has a vector yet"):
        build("Flat", 32, rows, np.arange(1, 2001))
    with pytest.raises(InputError, match="cannot build 'IVF64,Flat' over 20 vectors"):
        build("IVF64,Flat", 32, rows, np.arange(21, 2001))


def test_removed_rows_are_left_out_one_block_at_a_time():
    keys, vectors = np.arange(16_000), unit_rows(16_000, 256)
    blocks = [
        Block(keys[start : start + 1000], vectors[start : start + 1000])
        for start in range(0, 16_000, 1000)
    ]
    # 1 MiB a block, 16 in all, of which each has a removed row.
    assert peak_of(lambda: build("Flat", 256, blocks, keys[::1000])) < 3 * MIB


def test_a_training_sample_is_copied_once():
    keys, vectors = np.arange(8_000), unit_rows(8_000, 256)
    blocks = [
        Block(keys[start : start + 1000], vectors[start : start + 1000])
        for start in range(0, 8_000, 1000)
    ]
    # 7.8 MiB of live rows to train on, and a block next to them.
    assert peak_of(lambda: build("SQ8", 256, blocks, keys[::1000])) < 10.5 * MIB


def test_a_build_over_many_shards_with_removed_rows_copies_few_of_them(collection, monkeypatch):
    monkeypatch.setattr(builder, "LARGEST_BATCH", 256)
    monkeypatch.setattr(builder, "MERGED_BYTES", MIB)
    monkeypatch.setattr(shards, "MERGED_BYTES", MIB)
    collection.add(Document(f"d{n}", f"word{n}") for n in range(4000))
    collection.build("flat", HashingEmbedder(dim=1024))
    embedding = collection._store.embedding("flat")
    files = collection._store.shards(embedding)
    collection.delete([f"d{shard.first_key - 1}" for shard in files])
    size, largest = (f(shard.digest.size for shard in files) for f in (sum, max))
    assert size > 15 * MIB
    assert len(files) > 10
    built = peak_of(lambda: collection.build("graph", vectors="flat", ann="HNSW4"))
    assert built < largest + 3 * MIB
    assert collection._store.index("graph").rows == 4000 - len(files)


# -- compact says what it gives up --------------------------------------------------------------


@pytest.fixture
def cells(tmp_path):
    """The path of 40 documents with an index `flat` and 16 cells over it; then 35 are removed."""
    with Collection.create(tmp_path / "c") as collection:
        collection.add(Document(f"d{n}", f"word{n}") for n in range(40))
        collection.build("flat", HashingEmbedder())
        collection.build("cells", vectors="flat", ann="IVF16,Flat")
        collection.build("graph", vectors="flat", ann="HNSW8")
        collection.delete([f"d{n}" for n in range(5, 40)])
    return tmp_path / "c"


def test_compact_names_the_indexes_that_lose_their_structure(cells):
    with Collection.open(cells) as collection:
        compacted = collection.compact()
        assert (compacted.rows, compacted.exact) == (35, ("cells",))
        assert [hit.doc_id for hit in collection.search("word3", index="cells", k=1)] == ["d3"]
        # It lost nothing this time.
        assert collection.compact().exact == ()
        collection.add(Document(f"e{n}", f"word{n}") for n in range(40))
        collection.build("cells")
        assert collection._store.index("cells").rows == 45
        assert collection.verify().ok


def test_compact_names_what_loses_its_structure_for_want_of_memory(cells, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(factory_module.faiss, "IndexIDMap2", full)
    with Collection.open(cells) as collection:
        assert collection.compact().exact == ("cells", "graph")
        assert [hit.doc_id for hit in collection.search("word3", index="graph", k=1)] == ["d3"]


NOTE = (
    "note: 'cells' is searched exactly from now on: too few vectors are left for its structure. "
    "Build it again when there are more.\n"
)


def test_the_command_says_which_indexes_lose_their_structure(cells):
    first = CliRunner().invoke(cli, ["compact", str(cells)])
    assert (first.exit_code, first.stderr) == (0, NOTE)
    assert "35 vectors of removed documents dropped" in first.stdout
    again = CliRunner().invoke(cli, ["compact", str(cells), "--json"])
    assert (again.exit_code, again.stderr) == (0, "")
    assert json.loads(again.stdout)["exact"] == []


def test_the_command_says_it_in_json_as_well(cells):
    ran = CliRunner().invoke(cli, ["compact", str(cells), "--json"])
    assert (ran.exit_code, ran.stderr) == (0, NOTE)
    assert json.loads(ran.stdout)["exact"] == ["cells"]


# -- structures kept open -----------------------------------------------------------------------


def test_a_structure_kept_open_is_known_by_its_checksum_too(cells):
    with Collection.open(cells) as collection, collection._store.snapshot() as snapshot:
        view = snapshot.searchers.of("graph")
        opened = snapshot.searchers
        assert opened._structure(view.index, view.embedding) is view.structure
        other = replace(view.index, digest=FileDigest(view.index.digest.size, "0" * 64))
        with pytest.raises(DamageError):
            opened._structure(other, view.embedding)
