"""Memory stays bounded, counted in bytes; indexes that lose their ANN structure are named."""

import json
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from indexes.catalog.records import EmbeddingRow, IndexRow
from indexes.errors import DamageError, InputError
from indexes.pipeline import builder
from indexes.search import prefilter, vector_searcher
from indexes.search.prefilter import AllowList, KeySet
from indexes.storage.files import FileDigest
from indexes.vectors import scores, shards
from indexes.vectors.blocks import Block
from indexes.vectors.faiss_engine import factory as factory_module
from indexes.vectors.faiss_engine.factory import build
from retriever import Document, HashingEmbedder
from tests.support.commands import invoke, succeed_silently
from tests.support.fresh import printed_by
from tests.support.toy import ids, refused

MIB = 1 << 20


def unit_rows(count, dim, seed=7):
    vectors = np.random.default_rng(seed).standard_normal((count, dim), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def peak_of(work):
    """Return the most bytes that Python and NumPy allocated at once during some work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def flat_searcher(block):
    """Return an exact searcher of one block."""
    dim = block.vectors.shape[1]
    embedding = EmbeddingRow(1, "flat", {}, "model", "fingerprint", dim, "float32")
    return vector_searcher.VectorSearcher(
        index=IndexRow.planned("flat", embedding, {}),
        embedding=embedding,
        blocks=[block],
        unseen=(),
        structure=None,
        deleted=np.empty(0, np.int64),
        missing=0,
        stale=0,
    )


def copied_by(searcher):
    return sum(
        part.vectors.nbytes
        for prefilter in searcher._prefilters.values()
        for part in prefilter.few or ()
    )


def without_deleted(block):
    live = ~np.isin(block.keys, DELETED)
    return Block(block.keys[live], block.vectors[live])


def first_hit(searcher, allowed):
    """Return what the vector of the first allowed key finds among the allowed ones."""
    key = int(allowed.keys[0])
    vector = searcher.blocks[0].vectors[key - 1 : key]
    return searcher.search(vector, 1, allowed).keys.tolist()


def test_rows_copied_for_filters_are_kept_up_to_a_number_of_bytes():
    searcher = flat_searcher(Block(np.arange(1, 40_001), unit_rows(40_000, 256)))
    # A quarter of all rows each, which is copied: 9.8 MiB.
    filters = [
        AllowList(f"every fourth from {n}", partial(KeySet.of, np.arange(n, 40_001, 4)))
        for n in (1, 2, 3, 4)
    ]
    for key, allowed in enumerate(filters, start=1):
        assert first_hit(searcher, allowed) == [[key]]
        assert searcher.prefilter(allowed).few is not None
        assert copied_by(searcher) <= 32 * MIB
    # The oldest was dropped, and is copied again when needed.
    assert list(searcher._prefilters) == [allowed.name for allowed in filters[1:]]
    assert first_hit(searcher, filters[0]) == [[1]]


def test_copied_rows_above_the_limit_serve_their_search_only(monkeypatch):
    monkeypatch.setattr(vector_searcher, "KEPT_BYTES", 100)
    searcher = flat_searcher(Block(np.arange(1, 101), unit_rows(100, 8)))
    assert first_hit(searcher, AllowList("few", partial(KeySet.of, np.arange(1, 11)))) == [[1]]
    assert copied_by(searcher) == 0


def test_threads_share_the_filters_of_a_searcher(monkeypatch):
    monkeypatch.setattr(vector_searcher, "KEPT_BYTES", 2_000)
    searcher = flat_searcher(Block(np.arange(1, 201), unit_rows(200, 8)))
    filters = [AllowList(f"{n}", partial(KeySet.of, np.arange(n, n + 10))) for n in range(1, 101)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(partial(first_hit, searcher), filters * 5))
    finally:
        sys.setswitchinterval(before)
    assert found == [[[key]] for key in range(1, 101)] * 5
    assert copied_by(searcher) <= 2_000


@pytest.mark.parametrize("most", [0, 1_000_000])
def test_keys_held_as_bits_are_the_same_keys(most, monkeypatch):
    monkeypatch.setattr(prefilter, "PACKED_KEYS", most)
    keys = np.array([3, 4, 9, 1000])
    held = KeySet.of(keys)
    assert held.keys.tolist() == keys.tolist()
    asked = np.array([[-1, 0, 3, 9], [10, 1000, 1001, 5000]])
    assert held.has(asked).tolist() == np.isin(asked, keys).tolist()
    assert KeySet.of(keys[:0]).has(keys).tolist() == [False] * 4


def test_a_filter_of_very_many_rows_is_kept(monkeypatch):
    monkeypatch.setattr(prefilter, "PACKED_KEYS", 1_000)
    monkeypatch.setattr(vector_searcher, "KEPT_BYTES", 10_000)
    searcher = flat_searcher(Block(np.arange(1, 40_001), unit_rows(40_000, 8)))
    allowed = AllowList("most", partial(KeySet.of, np.arange(101, 40_001)))
    assert first_hit(searcher, allowed) == [[101]]
    assert list(searcher._prefilters) == ["most"]


def blocks_of(count, dim, rows):
    """Return blocks of some rows each, under keys 1 to `count`."""
    vectors = unit_rows(count, dim)
    starts = range(0, count, rows)
    return [Block(np.arange(n + 1, n + rows + 1), vectors[n : n + rows]) for n in starts]


@pytest.fixture(scope="module")
def rows():
    return blocks_of(2000, 32, 500)


# Every seventh key, all of the third block, and some that are in no block.
DELETED = np.union1d(np.arange(-6, 3000, 7), np.arange(1001, 1501))


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("training", [None, 300])
@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat", "IVF16,SQ8", "PCA16,Flat"])
def test_an_ann_index_built_past_deleted_keys_equals_one_over_live_rows(
    rows, factory, training, half, monkeypatch
):
    if training:
        monkeypatch.setattr(factory_module, "TRAINING_ROWS", training)
    dtype = np.float16 if half else np.float32
    rows = [Block(block.keys, block.vectors.astype(dtype)) for block in rows]
    past = build(factory, 32, rows, DELETED)
    without = build(factory, 32, [without_deleted(block) for block in rows])
    assert past.keys.tolist() == without.keys.tolist()
    assert past.keys.tolist() == np.setdiff1d(np.arange(1, 2001), DELETED).tolist()
    queries = unit_rows(20, 32, seed=8)
    found, wanted = past.search(queries, 10), without.search(queries, 10)
    assert found.keys.tolist() == wanted.keys.tolist()
    assert found.scores.tolist() == wanted.scores.tolist()


def test_building_needs_enough_live_rows(rows):
    refused(InputError, "no document has a vector yet", build, "Flat", 32, rows, np.arange(1, 2001))
    message, deleted = "cannot build 'IVF64,Flat' over 20 vectors", np.arange(21, 2001)
    refused(InputError, message, build, "IVF64,Flat", 32, rows, deleted)


@pytest.mark.parametrize(
    ("factory", "rows", "most"),
    [
        # 1 MiB a block, of which each has a deleted row: left out one block at a time.
        ("Flat", 16_000, 3 * MIB),
        # 7.8 MiB of live rows to train on, copied once, and a block next to them.
        ("SQ8", 8_000, 10.5 * MIB),
    ],
)
def test_a_build_copies_few_rows(factory, rows, most):
    blocks = blocks_of(rows, 256, 1000)
    assert peak_of(lambda: build(factory, 256, blocks, np.arange(1, rows, 1000))) < most


def test_a_build_over_many_shards_with_deleted_rows_copies_few_of_them(collection, monkeypatch):
    monkeypatch.setattr(builder, "LARGEST_BATCH", 256)
    monkeypatch.setattr(builder, "MERGED_BYTES", MIB)
    monkeypatch.setattr(shards, "MERGED_BYTES", MIB)
    monkeypatch.setattr(scores, "RESCORED_BYTES", MIB)  # for the recall, however large the index
    collection.add(Document(f"d{n}", f"word{n}") for n in range(4000))
    collection.build("flat", HashingEmbedder(dim=1024))
    files = collection._store.shards(collection._store.embedding("flat"))
    collection.delete([f"d{shard.first_key - 1}" for shard in files])
    size, largest = (f(shard.digest.size for shard in files) for f in (sum, max))
    assert size > 15 * MIB
    assert len(files) > 10
    built = peak_of(lambda: collection.build("graph", vectors="flat", ann="HNSW4"))
    assert built < largest + 6 * MIB
    assert collection._store.index("graph").rows == 4000 - len(files)


def test_codes_of_a_loaded_structure_stay_in_its_file(tmp_path):
    path = tmp_path / "x.faiss"
    with path.open("wb") as file:
        build("SQ8", 256, blocks_of(40_000, 256, 10_000)).write(file.write)
    assert path.stat().st_size > 9 * MIB
    assert int(printed_by(LOADED, str(path))) < 5 * MIB


LOADED = """
import sys
from pathlib import Path
import numpy as np
from indexes.progress import Peak
from indexes.vectors.faiss_engine.index import load
with Peak() as peak:
    index = load(Path(sys.argv[1]), 256)
    assert index.search(np.ones((1, 256)), 10).keys.all()
print(peak.bytes)
"""


@pytest.fixture
def cells(collection):
    """40 documents with exact, 16-cell and graph indexes, of which 35 are then deleted."""
    collection.add(Document(f"d{n}", f"word{n}") for n in range(40))
    collection.build("flat", HashingEmbedder())
    collection.build("cells", vectors="flat", ann="IVF16,Flat")
    collection.build("graph", vectors="flat", ann="HNSW8")
    collection.delete([f"d{n}" for n in range(5, 40)])
    return collection


def test_compact_names_indexes_that_lose_their_ann_structure(cells):
    compacted = cells.compact()
    assert (compacted.rows, compacted.exact) == (35, ("cells",))
    assert ids(cells.search("word3", index="cells", k=1)) == ["d3"]
    assert len(cells.search("word3", index="cells")) == 5
    assert cells.verify().ok
    assert cells.compact().exact == ()
    cells.add(Document(f"e{n}", f"word{n}") for n in range(40))
    cells.build("cells")
    assert cells._store.index("cells").rows == 45
    assert cells.verify().ok


def test_compact_names_indexes_that_lose_their_structure_to_a_lack_of_memory(cells, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(factory_module.faiss, "IndexIDMap", full)
    assert cells.compact().exact == ("cells", "graph")
    assert ids(cells.search("word3", index="graph", k=1)) == ["d3"]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_command_names_indexes_that_lose_their_structure(cells, options):
    ran = invoke("compact", str(cells.path), *options)
    note = "note: 'cells' is searched exactly from now on: too few vectors are left for its "
    note += "structure. Rebuild it when there are more.\n"
    assert (ran.exit_code, ran.stderr) == (0, note)
    if options:
        assert json.loads(ran.stdout)["exact"] == ["cells"]
    else:
        assert "35 vectors of deleted documents dropped" in ran.stdout
    assert json.loads(succeed_silently("compact", str(cells.path), "--json"))["exact"] == []


def test_an_open_ann_index_is_identified_by_its_checksum_too(cells):
    with cells._store.snapshot() as snapshot:
        searcher, opened = snapshot.searchers.of("graph"), snapshot.searchers
        assert opened._structure(searcher.index, searcher.embedding) is searcher.structure
        other = replace(searcher.index, digest=FileDigest(searcher.index.digest.size, "0" * 64))
        refused(DamageError, "damaged", opened._structure, other, searcher.embedding)
