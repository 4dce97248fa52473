import subprocess
import sys

import numpy as np
import pytest

from indexes import ann
from indexes.errors import DamageError, InputError, MismatchError
from indexes.vectors import exact
from indexes.vectors.blocks import Block

FACTORIES = [
    "HNSW32",
    "IVF16,Flat",
    "IVF16,SQ8",
    "IVF16,PQ8x4fs,RFlat",
    "IVF16_HNSW8,Flat",
    "PCA16,Flat",
    "OPQ2_16,IVF8,PQ8x4",
    "SQ8",
    "PQ8x4",
    "Flat",
    "PQ16,RFlat",
    "PQ16x4fs,RFlat",
    "PCA16,PQ8x4,RFlat",
]


@pytest.fixture(scope="module")
def rows():
    """2,000 vectors in 40 groups, under odd keys that do not start at zero, in two blocks."""
    random = np.random.default_rng(7)
    middles = random.standard_normal((40, 32))
    vectors = np.repeat(middles, 50, axis=0) + 0.4 * random.standard_normal((2000, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    keys = np.arange(101, 101 + 4000, 2)
    return [Block(keys[:700], vectors[:700]), Block(keys[700:], vectors[700:])]


@pytest.fixture(scope="module")
def queries(rows):
    return rows[1].vectors[::50] + 0.01


@pytest.fixture(scope="module", params=FACTORIES)
def index(request, rows):
    return ann.build(request.param, 32, rows)


def write(index, path):
    with path.open("wb") as file:
        index.write(file.write)


def test_keys_are_ours_and_no_key_comes_twice(index, rows, queries):
    found = index.candidates(queries, 10)
    real = set(rows[0].keys.tolist()) | set(rows[1].keys.tolist())
    for keys, _ in found:
        assert set(keys.tolist()) <= real
        assert len(set(keys.tolist())) == len(keys) > 0


def test_most_true_neighbours_are_candidates(index, rows, queries):
    # Quantised indexes order by rough scores: their 50 candidates must hold most of the true 10.
    found, true = index.candidates(queries, 50), exact.search(queries, rows, 10)
    shares = [np.isin(t, f).mean() for (f, _), (t, _) in zip(found, true, strict=True)]
    assert np.mean(shares) > 0.9


def test_dead_keys_never_come_back_and_others_do(index, rows, queries):
    deleted = exact.search(queries, rows, 3).keys.ravel()
    deleted = np.unique(deleted)
    found = index.candidates(queries, 10, index.mask(deleted))
    for keys, _ in found:
        assert not np.isin(keys, deleted).any()
        assert len(keys) > 0


def test_a_query_of_zeros_finds_nothing(index):
    keys, _ = next(iter(index.candidates(np.zeros((1, 32), np.float32), 10)))
    assert keys.tolist() == []


def test_k_beyond_the_rows_pads_with_nothing_that_looks_like_a_hit(index, queries):
    for keys, scores in index.candidates(queries[:2], 5000):
        assert (keys > 0).all()
        assert np.isfinite(scores).all()


def test_written_and_read_it_answers_the_same(index, queries, tmp_path):
    write(index, tmp_path / "index.faiss")
    again = ann.load(tmp_path / "index.faiss", 32)
    assert (
        again.candidates(queries, 10).keys.tolist() == index.candidates(queries, 10).keys.tolist()
    )


def test_queries_are_checked_before_faiss_sees_them(index):
    with pytest.raises(MismatchError, match="8 wide; the index holds vectors that are 32 wide"):
        index.candidates(np.ones((1, 8), np.float32), 1)
    with pytest.raises(InputError, match="k is 0"):
        index.candidates(np.ones((1, 32), np.float32), 0)
    with pytest.raises(InputError, match="not finite"):
        index.candidates(np.full((1, 32), np.nan, np.float32), 1)


def test_the_exact_structure_equals_brute_force(rows, queries):
    flat = ann.build("Flat", 32, rows)
    assert flat.candidates(queries, 5).keys.tolist() == exact.search(queries, rows, 5).keys.tolist()


@pytest.mark.parametrize("factory", ["Quick", "", "IVF16,PQ7"])
def test_an_unknown_factory_is_named_without_c_plus_plus(factory):
    with pytest.raises(InputError, match=f"FAISS knows no index '{factory}'") as caught:
        ann.check_factory(factory, 32)
    assert ".cpp" not in str(caught.value)
    assert "HNSW32" in str(caught.value)


def test_too_few_vectors_to_train_on_are_named(rows):
    few = [Block(rows[0].keys[:20], rows[0].vectors[:20])]
    with pytest.raises(InputError, match="cannot build 'IVF64,Flat' over 20 vectors") as caught:
        ann.build("IVF64,Flat", 32, few)
    assert ".cpp" not in str(caught.value)


def test_nothing_to_build_on_is_named():
    with pytest.raises(InputError, match="no document has a vector yet"):
        ann.build("HNSW32", 32, [])


def test_effort_grows_with_k_and_is_never_faiss_default():
    assert ann.default_effort("HNSW32", 32, 10) == {"efSearch": 128}
    assert ann.default_effort("HNSW32", 32, 500) == {"efSearch": 1000}
    assert ann.default_effort("IVF256,SQ8", 32, 10) == {"nprobe": 32}
    assert ann.default_effort("IVF4,SQ8", 32, 10) == {"nprobe": 4}
    assert ann.default_effort("IVF64,PQ8x4fs,RFlat", 32, 10) == {"k_factor": 8.0, "nprobe": 16}
    assert ann.default_effort("Flat", 32, 10) == {}


def test_a_file_that_is_no_index_or_another_is_damage(tmp_path, rows):
    path = tmp_path / "x.faiss"
    path.write_bytes(b"not an index at all")
    with pytest.raises(DamageError, match="cannot be read"):
        ann.load(path, 32)
    write(ann.build("Flat", 32, rows), path)
    with pytest.raises(DamageError, match="32 wide; expected IndexIDMap2, 16 wide"):
        ann.load(path, 16)


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("HNSW0", "0 is no size"),
        ("HNSW1", "HNSW takes 2 to 1,024 links, not 1"),
        ("IVF16_HNSW1,Flat", "HNSW takes 2 to 1,024 links, not 1"),
        ("PQ8,Refine(HNSW1)", "HNSW takes 2 to 1,024 links, not 1"),
        ("HNSW99999999", "HNSW takes 2 to 1,024 links, not 99999999"),
        ("NSG32,Flat", "building NSG never ends where some texts are equal"),
        ("NNDescent16", "building NNDescent never ends where some texts are equal"),
        ("IVF0,Flat", "0 is no size"),
        ("IVF16,PQ8x0", "0 is no size"),
        ("IVF16,FlatPanorama0", "0 is no size"),
        ("RQ0x4", "0 is no size"),
        ("RR0,Flat", "0 is no size"),
    ],
)
def test_a_factory_that_would_kill_the_process_is_refused(factory, reason):
    with pytest.raises(InputError, match=f"cannot use '.*': {reason}"):
        ann.check_factory(factory, 32)


def test_a_structure_that_faiss_cannot_read_again_is_refused(rows):
    with pytest.raises(InputError, match="cannot build 'ZnLattice4x10_6' .* no code storage"):
        ann.build("ZnLattice4x10_6", 32, rows)


@pytest.mark.parametrize("factory", ["PQ16,RFlat", "PQ16x4fs,RFlat", "PCA16,PQ8x4,RFlat"])
def test_refining_scores_eight_times_as_many_with_and_without_dead(factory, rows, queries):
    index = ann.build(factory, 32, rows)
    deleted = np.unique(exact.search(queries, rows, 3).keys)
    for gone in (deleted, None, deleted):
        found = index.candidates(queries, 10, None if gone is None else index.mask(gone))
        true = exact.search(queries, rows, 10, gone)
        shares = [np.isin(t, f).mean() for (f, _), (t, _) in zip(found, true, strict=True)]
        assert np.mean(shares) > 0.98


def test_a_refusal_by_faiss_in_a_search_is_an_input_error(rows, queries):
    index = ann.build("IVF16,Flat", 32, rows)
    index._index.nlist = 0
    with pytest.raises(InputError, match="FAISS cannot search this index: .*nprobe"):
        index.candidates(queries, 10)


QUIETLY = """
import sys
import numpy as np
from indexes import ann
from indexes.vectors.blocks import Block

vectors = np.random.default_rng(0).standard_normal((300, 32)).astype(np.float32)
for factory in sys.argv[1:]:
    ann.build(factory, 32, [Block(np.arange(300), vectors)])
"""


def test_few_vectors_to_train_on_print_nothing():
    factories = [
        *("PQ4", "PCA16,PQ4", "OPQ4,PQ4", "RQ4x4", "PRQ2x2x4", "IVF16,PQ4", "IVF16,RQ4x4"),
        *("PQ16x4fs,RFlat", "IVF16_HNSW8,Flat", "PQ4,Refine(PQ4)", "HNSW8_PQ4"),
        "IVF16(IVF4,Flat),Flat",
    ]
    command = [sys.executable, "-W", "ignore", "-c", QUIETLY, *factories]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
