import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest

from indexes.errors import DamageError, InputError, MismatchError, WorkerError
from indexes.pipeline.ann_builder import mark_stale
from indexes.vectors import approximate, exact
from indexes.vectors.blocks import Block
from indexes.vectors.engines import FAISS, engine_of
from indexes.vectors.faiss_engine.factory import build, check_factory
from indexes.vectors.faiss_engine.index import load
from retriever import Document, HashingEmbedder
from tests.support.toy import refused

REFINED = ["PQ16,RFlat", "PQ16x4fs,RFlat", "PCA16,PQ8x4,RFlat"]
FACTORIES = [
    *("HNSW32", "IVF16,Flat", "IVF16,SQ8", "IVF16,PQ8x4fs,RFlat", "IVF16_HNSW8,Flat"),
    *("PCA16,Flat", "OPQ2_16,IVF8,PQ8x4", "SQ8", "PQ8x4", "Flat", *REFINED),
]
SCALAR, NONE = {"factory": "SQ8"}, np.empty(0, np.int64)
# FAISS would crash on these.
WITH_ZERO = ["HNSW0", "IVF0,Flat", "IVF16,PQ8x0", "IVF16,FlatPanorama0", "RQ0x4", "RR0,Flat"]


@pytest.fixture(scope="module")
def rows():
    """2,000 vectors in 40 clusters, under odd keys from 101 on, in two blocks."""
    random = np.random.default_rng(7)
    centers = random.standard_normal((40, 32))
    vectors = np.repeat(centers, 50, axis=0) + 0.4 * random.standard_normal((2000, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    keys = np.arange(101, 101 + 4000, 2)
    return [Block(keys[:700], vectors[:700]), Block(keys[700:], vectors[700:])]


@pytest.fixture(scope="module")
def queries(rows):
    return rows[1].vectors[::50] + 0.01


@pytest.fixture(scope="module", params=FACTORIES)
def index(request, rows):
    return build(request.param, 32, rows)


def write(index, path):
    with path.open("wb") as file:
        index.write(file.write)


def recall(found, true):
    """Return the mean share of each query's true neighbors that were found."""
    pairs = zip(found.lists(), true.lists(), strict=True)
    return np.mean([np.isin(keys, candidates).mean() for (candidates, _), (keys, _) in pairs])


def test_candidates_are_live_keys_and_most_true_neighbors(index, rows, queries):
    # Quantized indexes order by rough scores: their 50 candidates must hold most of the true 10.
    assert recall(index.search(queries, 50), exact.search(queries, rows, 10)) > 0.9
    live = np.concatenate([rows[0].keys, rows[1].keys])
    deleted = np.unique(exact.search(queries, rows, 3).keys)
    for mask, wanted in ((None, live), (index.mask(deleted), np.setdiff1d(live, deleted))):
        for keys, _ in index.search(queries, 10, mask).lists():
            assert np.isin(keys, wanted).all()
            assert len(set(keys)) == len(keys) > 0


def test_unusual_queries_find_only_real_hits_or_are_refused(index, queries, rows):
    found = index.search(np.zeros((1, 32), np.float32), 10)
    assert list(found.lists()) == [([], [])]
    for keys, scores in index.search(queries[:2], 5000).lists():
        assert min(keys) > 0
        assert np.isfinite(scores).all()
    wide = "8 wide; the index holds vectors that are 32 wide"
    refused(MismatchError, wide, approximate.search, index, np.ones((1, 8)), 1, rows)
    refused(InputError, "k is 0", approximate.search, index, np.ones((1, 32)), 0, rows)
    refused(InputError, "not finite", approximate.search, index, np.full((1, 32), np.nan), 1, rows)


def test_a_written_and_loaded_index_answers_the_same(index, queries, tmp_path):
    write(index, tmp_path / "index.faiss")
    again = load(tmp_path / "index.faiss", 32)
    assert again.search(queries, 10).keys.tolist() == index.search(queries, 10).keys.tolist()


def address_of_codes(index):
    """Return where FAISS has the codes of some rows."""
    if isinstance(index, faiss.IndexIVF):
        return int(faiss.downcast_InvertedLists(index.invlists).get_codes(0))
    if isinstance(index, faiss.IndexHNSW):
        return int(faiss.downcast_index(index.storage).codes.data())
    codes = index.codes
    return int(codes.get() if isinstance(index, faiss.IndexFastScan) else codes.data())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("factory", "is_mapped"),
    [
        *(("PQ16", True), ("SQ8", True), ("IVF16,SQ8", True), ("HNSW8", True)),
        *(("PQ16x4fs", False), ("IVF16,PQ16x4fsr", False)),
    ],
)
def test_codes_stay_in_the_file_but_those_of_fast_scan(factory, is_mapped, rows, tmp_path):
    path = tmp_path / "index.faiss"
    write(build(factory, 32, rows), path)
    loaded = load(path, 32)
    found = address_of_codes(loaded._index)
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    spans = [[int(end, 16) for end in one[0].split("-")] for one in maps if one[-1] == str(path)]
    assert any(start <= found < stop for start, stop in spans) is is_mapped


@pytest.mark.parametrize("factory", ["PQ16x4fs", "IVF16,PQ16x4fs", "SQ8"])
def test_the_first_block_may_have_no_live_row(factory, rows, queries):
    index = build(factory, 32, rows, rows[0].keys)
    assert index.rows == len(rows[1].keys)
    assert index.search(queries, 5).keys.tolist() == (
        build(factory, 32, rows[1:]).search(queries, 5).keys.tolist()
    )


def test_parts_that_lack_vectors_are_refused(rows):
    def fill(trained, deleted):
        yield FAISS.part(trained, rows[:1], deleted)

    refused(WorkerError, "added 700 vectors of 2,000", FAISS.build, SCALAR, 32, rows, NONE, fill)


def test_a_flat_faiss_index_equals_brute_force(rows, queries):
    flat = build("Flat", 32, rows)
    assert flat.search(queries, 5).keys.tolist() == exact.search(queries, rows, 5).keys.tolist()


@pytest.mark.parametrize("factory", ["Quick", "", "IVF16,PQ7"])
def test_an_unknown_factory_is_named_without_cpp_details(factory):
    with pytest.raises(InputError, match=f"FAISS knows no index '{factory}'") as caught:
        check_factory(factory, 32)
    assert ".cpp" not in str(caught.value)
    assert "HNSW32" in str(caught.value)


def test_an_index_that_cannot_be_built_or_read_again_is_refused(rows):
    few = [Block(rows[0].keys[:20], rows[0].vectors[:20])]
    with pytest.raises(InputError, match="cannot build 'IVF64,Flat' over 20 vectors") as caught:
        build("IVF64,Flat", 32, few)
    assert ".cpp" not in str(caught.value)
    refused(InputError, "no document has a vector yet", build, "HNSW32", 32, [])
    message = "cannot build 'ZnLattice4x10_6' .* no code storage.* such as HNSW32"
    refused(InputError, message, build, "ZnLattice4x10_6", 32, rows)


@pytest.mark.parametrize(
    ("factory", "search", "k", "effort"),
    [
        ("HNSW32", {}, 10, {"efSearch": 128}),
        ("HNSW32", {}, 500, {"efSearch": 1000}),
        ("IVF256,Flat", {}, 10, {"nprobe": 32}),
        ("IVF4,SQ8", {}, 10, {"nprobe": 4, "depth": 300}),
        ("IVF64,PQ8x4fs,RFlat", {}, 10, {"k_factor": 8.0, "nprobe": 16, "depth": 100}),
        ("HNSW32_SQ8", {}, 10, {"efSearch": 300, "depth": 300}),
        ("PCA16,Flat", {}, 10, {"depth": 300}),
        ("SQ8", {"depth": 50}, 10, {"depth": 50}),
        ("Flat", {}, 10, {}),
        ("HNSW32", {"efSearch": 16}, 10, {"efSearch": 16}),
        ("HNSW32", {"efSearch": 16}, 500, {"efSearch": 1000}),
        ("SQ8", {"depth": 50}, 100, {"depth": 300}),
        ("IVF256,SQ8", {"nprobe": 1, "efSearch": 16}, 10, {"nprobe": 1, "depth": 300}),
        ("IVF4,Flat", {"nprobe": 9}, 10, {"nprobe": 4}),
        ("PQ8x4fs,RFlat", {"k_factor": 2.5}, 10, {"k_factor": 2.5, "depth": 100}),
    ],
)
def test_search_parameters_are_those_of_the_definition_or_grow_with_k(factory, search, k, effort):
    definition = {"factory": factory, "search": search}
    assert engine_of(definition).parameters(definition, 32, k) == effort
    if not search:
        assert engine_of(definition).parameters({"factory": factory}, 32, k) == effort


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            {"efsearch": 16},
            "No search parameter 'efsearch'; expected efSearch, nprobe, k_factor, depth",
        ),
        ({"nprobe": 0}, "nprobe is 0; expected a whole number of at least 1"),
        ({"nprobe": True}, "nprobe is True; expected a whole number"),
        ({"efSearch": 2.5}, "efSearch is 2.5; expected a whole number"),
        ({"k_factor": 0.5}, "k_factor is 0.5; expected a number of at least 1"),
        ({"k_factor": float("nan")}, "k_factor is nan; expected a number"),
        ([16], "expected an object of numbers"),
    ],
)
def test_search_parameters_of_a_definition_are_checked(search, message):
    definition = {"factory": "HNSW32", "search": search}
    refused(InputError, message, engine_of(definition).check, definition, 32)


@pytest.mark.parametrize(
    ("factory", "low", "high"),
    [
        ("IVF64,Flat", {"nprobe": 1}, {"nprobe": 64}),
        ("HNSW4", {"efSearch": 1}, {"efSearch": 500}),
        ("PQ4,RFlat", {"k_factor": 1, "depth": 10}, {"k_factor": 64.0}),
        ("PQ4", {"depth": 10}, {"depth": 500}),
    ],
)
def test_a_definitions_search_parameters_change_what_is_found(factory, low, high, rows, queries):
    true = exact.search(queries, rows, 10)

    def recall_with(search):
        definition = {"factory": factory, "search": search}
        index = engine_of(definition).build(definition, 32, rows, np.empty(0, np.int64))
        return recall(approximate.search(index, queries, 10, rows), true)

    assert recall_with(low) < 0.95 < recall_with(high)


def test_a_loaded_index_searches_as_its_definition_says(rows, queries, tmp_path):
    write(build("IVF64,Flat", 32, rows), tmp_path / "x.faiss")
    true = exact.search(queries, rows, 10).keys.tolist()
    for cells, is_exact in ((64, True), (1, False)):
        definition = {"factory": "IVF64,Flat", "search": {"nprobe": cells}}
        index = engine_of(definition).load(tmp_path / "x.faiss", definition, 32)
        assert (index.search(queries, 10).keys.tolist() == true) is is_exact


def test_a_file_with_no_index_or_another_one_is_damage(tmp_path, rows):
    path = tmp_path / "x.faiss"
    path.write_bytes(b"not an index at all")
    refused(DamageError, "cannot be read", load, path, 32)
    write(build("Flat", 32, rows), path)
    refused(DamageError, "32 wide; expected IndexIDMap, 16 wide", load, path, 16)


# FAISS reads the first ones by recursion, until the stack ends.
UNREADABLE = ("x" * 20_000, "IVF4," * 4_000 + "Flat", "\udcff", "HNSW３２")


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("HNSW1", "HNSW takes 2 to 1,024 links, not 1"),
        ("IVF16_HNSW1,Flat", "HNSW takes 2 to 1,024 links, not 1"),
        ("PQ8,Refine(HNSW1)", "HNSW takes 2 to 1,024 links, not 1"),
        ("HNSW99999999", "HNSW takes 2 to 1,024 links, not 99999999"),
        ("NSG32,Flat", "building NSG never ends where some texts are equal"),
        ("NNDescent16", "building NNDescent never ends where some texts are equal"),
        *((factory, "0 is no size") for factory in WITH_ZERO),
        *((factory, "a factory string has at most 500 characters") for factory in UNREADABLE),
    ],
)
def test_a_factory_that_would_kill_the_process_is_refused(factory, reason):
    refused(InputError, f"cannot use '.*': {reason}", check_factory, factory, 32)


@pytest.mark.parametrize("factory", REFINED)
def test_refining_finds_nearly_all_with_and_without_deleted_keys(factory, rows, queries):
    index = build(factory, 32, rows)
    deleted = np.unique(exact.search(queries, rows, 3).keys)
    for gone in (deleted, None, deleted):
        found = index.search(queries, 10, None if gone is None else index.mask(gone))
        assert recall(found, exact.search(queries, rows, 10, gone)) > 0.98


def test_the_first_ten_are_the_same_whatever_k_is(index, rows, queries):
    deleted = np.arange(101, 900, 2)
    for mask in (None, index.mask(deleted)):
        first, more = (
            approximate.search(index, queries, k, rows, mask).keys[:, :10] for k in (10, 60)
        )
        assert first.tolist() == more.tolist()


def test_a_refusal_by_faiss_in_a_search_is_an_input_error(rows, queries):
    index = build("IVF16,Flat", 32, rows)
    index._index.nlist = 0
    message = "FAISS cannot search this index: .*nprobe.* such as HNSW32"
    refused(InputError, message, index.search, queries, 10)


@pytest.fixture
def cells(collection):
    """400 documents with an index `cells`, which searches only one of its 16 cells."""
    collection.add(Document(str(n), f"word{n} common") for n in range(400))
    collection.build("flat", HashingEmbedder(dim=32))
    collection.build("cells", vectors="flat", ann="IVF16,Flat")
    store = collection._store
    row = store.index("cells")
    assert (store.effort(row, 10), count_found(store)) == ({"nprobe": 16}, row.rows)
    one_cell = {**row.definition, "search": {"nprobe": 1}}
    with store._writing():
        store._writer().set_index(replace(row, definition=one_cell))
    return collection


def count_found(store):
    """Count what the index alone finds of the documents."""
    queries = HashingEmbedder(dim=32).encode_queries(["common"])
    with store.snapshot() as snapshot:
        structure = snapshot.searchers.of("cells").structure
        found = structure.expand(structure.search(queries, 400), 400)
    return int((found.keys != -1).sum())


def test_a_changed_definition_reaches_an_open_collection_and_is_kept_by_builds(cells):
    before = cells._store.index("cells")
    assert cells._store.effort(before, 10) == {"nprobe": 1}
    assert count_found(cells._store) < before.rows
    # Passages in cells that are not visited are found by brute force.
    assert len(cells.search("common", index="cells", k=400)) == before.rows
    cells.build("cells")
    assert cells._store.index("cells") == before
    cells.add([Document("new", "word common")])
    cells.build("cells")
    cells.compact()
    after = cells._store.index("cells")
    assert (after.rows, after.definition) == (before.rows + 1, before.definition)


@pytest.mark.parametrize(("factory", "kept"), [("IVF16,Flat", {"nprobe": 1}), ("HNSW8", None)])
def test_search_parameters_are_kept_for_the_same_factory_only(cells, factory, kept):
    store = cells._store
    with store._writing():  # as where FAISS has refused it, which allows another
        store._writer().set_index(mark_stale(store.index("cells"), store.embedding("cells")))
    cells.build("cells", ann=factory)
    assert store.index("cells").definition.get("search") == kept


TRAINED_ON_FEW = """
import sys
import numpy as np
from indexes.vectors.faiss_engine.factory import build
from indexes.vectors.blocks import Block

vectors = np.random.default_rng(0).standard_normal((300, 32)).astype(np.float32)
for factory in sys.argv[1:]:
    build(factory, 32, [Block(np.arange(300), vectors)])
"""


def test_few_vectors_to_train_on_print_nothing():
    factories = [
        *("PQ4", "PCA16,PQ4", "OPQ4,PQ4", "RQ4x4", "PRQ2x2x4", "IVF16,PQ4", "IVF16,RQ4x4"),
        *("PQ16x4fs,RFlat", "IVF16_HNSW8,Flat", "PQ4,Refine(PQ4)", "HNSW8_PQ4"),
        "IVF16(IVF4,Flat),Flat",
    ]
    command = [sys.executable, "-W", "ignore", "-c", TRAINED_ON_FEW, *factories]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
